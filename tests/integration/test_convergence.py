"""Bucket, records and collection agree after any history of requests, events, faults and crashes.

Hypothesis generates histories of uploads, deletions, registrations, late and repeated events,
rebuilds of the index and verifications, with a fault or a crash at some call to AWS. ``make soak``
runs thousands of them.
"""

import base64
import json
import os
from hashlib import md5
from random import Random
from typing import Any

import boto3
from chalice.local import LambdaEventConverter, RouteMatcher
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import app
from facial_recognition.infra.failed_events import FailedEventsQueue
from facial_recognition.local.project import Project, set_up
from facial_recognition.local.workers import APP
from localaws.middleware.faults import Fault
from localaws.services.lambda_.errors import FunctionError
from localaws.services.lambda_.event_queue import Disorder
from sample_photographs import landscape, photograph, resized
from tests.support.service import BUCKET, FAILED_EVENTS, Service

RUNS = int(os.environ.get("CONVERGENCE_RUNS", "100"))

IMAGES = {
    "obama": resized(photograph("obama.jpg"), 250),
    "obama again": resized(photograph("obama2.jpg"), 250),
    "biden": resized(photograph("biden.jpg"), 250),
    "nobody": resized(landscape(), 250),
    "text": b"This is a text file.",
}
"""Photographs by their content; the first word is the person."""
CONTENT_BY_ETAG = {md5(image).hexdigest(): content for content, image in IMAGES.items()}
FACES = ("obama", "biden")

people = st.sampled_from(["ann", "bob", "cem"])
images = st.sampled_from(sorted(IMAGES))
keys = st.builds("faces/{}/{}".format, people, st.sampled_from(["1.jpg", "a b+ü.jpg"]))
kinds = st.sampled_from(["error before", "error after", "crash before", "crash after", "throttle"])


class Histories(RuleBasedStateMachine):
    """The actions of clients, operators and AWS, and the state that must follow."""

    service: Service
    project: Project

    def __init__(self) -> None:
        super().__init__()
        self.routes = RouteMatcher(list(self.project.app.routes))
        self.service.aws.reset()
        set_up(self.project)

    @initialize(
        duplicates=st.sampled_from([0.0, 0.5]),
        most_delay=st.sampled_from([0.0, 0.05]),
        seed=st.integers(0, 2**32),
    )
    def start(self, duplicates: float, most_delay: float, seed: int) -> None:
        self.service.aws.functions.disorder = Disorder(duplicates, most_delay, Random(seed))

    @rule(key=keys, image=images)
    def upload(self, key: str, image: str) -> None:
        self.service.s3.put_object(Bucket=BUCKET, Key=key, Body=IMAGES[image])

    @rule(key=keys)
    def remove(self, key: str) -> None:
        self.service.s3.delete_object(Bucket=BUCKET, Key=key)

    @rule(person=people, image=images)
    def register(self, person: str, image: str) -> None:
        encoded = base64.b64encode(IMAGES[image]).decode()
        self.call("/register", {"name": person, "personId": person, "image": encoded})

    @rule(selection=st.one_of(st.just({}), keys.map(lambda key: {"imageKey": key})))
    def create_index(self, selection: dict[str, str]) -> None:
        self.call("/create-index", selection)

    @rule(key=keys, handler=st.sampled_from(["index_photograph", "unindex_photograph"]))
    def deliver_an_old_event(self, key: str, handler: str) -> None:
        event = {"Records": [{"s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}}]}
        self.service.aws.functions.notify(self.project.function_name(handler), event)

    @rule(call=st.integers(1, 12), kind=kinds, status=st.sampled_from([400, 500]))
    def inject_a_fault(self, call: int, kind: Any, status: int) -> None:
        fault = Fault("*", kind, call=call, caller="worker", code="Unexpected", status=status)
        self.service.aws.faults.script(fault)

    @rule()
    def wait(self) -> None:
        self.service.settle()

    @rule(face=st.sampled_from(FACES))
    def verify(self, face: str) -> None:
        """A match names the person of a record that exists at that time."""
        before = self.service.items()
        answer = self.service.verify(IMAGES[face])
        known = before | self.service.items()
        assert answer.status_code == 200, answer.text
        for match in answer.json()["matches"]:
            if match["faceId"] in known:
                assert known[match["faceId"]]["personId"] == match["personId"]
            else:  # the record was added and deleted meanwhile, and so was the face
                self.service.settle()
                gone = match["faceId"] not in self.service.faces()
                assert gone or match["faceId"] in self.service.items()

    def call(self, path: str, body: dict[str, Any]) -> None:
        """Call the function of the API. It may crash: then there is no answer to check."""
        event = LambdaEventConverter(self.routes).create_lambda_event(
            "POST", path, {"content-type": "application/json"}, json.dumps(body)
        )
        try:
            answer: Any = self.service.aws.functions.call(self.project.function_name(APP), event)
        except FunctionError:
            return
        assert answer["statusCode"] != 500, answer["body"]

    def teardown(self) -> None:
        """Handle all events, redrive those that failed, and check that everything agrees."""
        self.service.settle()
        self.service.aws.faults.clear()
        failed = FailedEventsQueue(boto3.Session(), FAILED_EVENTS)
        for event in failed.receive():
            failed.redrive(event)
        self.service.settle()
        self.service.assert_consistent()
        for key in self.service.objects():
            record = self.service.photograph(key)
            assert record is not None
            stored = self.service.s3.head_object(Bucket=BUCKET, Key=key)
            stands_for = stored["Metadata"].get("stands-for")
            # The environment may turn KEEP_PHOTOGRAPHS off.
            assert (stands_for is None) == app.settings.keep_photographs
            assert record["etag"] == (stands_for or stored["ETag"].strip('"'))
            content = CONTENT_BY_ETAG[record["etag"]]
            assert (record["status"] == "indexed") == (content.split()[0] in FACES), key
            if not app.settings.keep_photographs:
                versions = [v for v in app.photographs.versions(key) if v.key == key]
                marks = self.service.s3.list_object_versions(Bucket=BUCKET, Prefix=key)
                deleted = [m for m in marks.get("DeleteMarkers", []) if m["Key"] == key]
                assert len(versions) - len(deleted) == 1
        report = self.service.post("create-index", {}).json()
        assert (report["indexed"], report["removed"]) == ([], 0)


def test_every_history_ends_in_agreement(service: Service, project: Project) -> None:
    Histories.service, Histories.project = service, project
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=12,
            deadline=None,
            derandomize="CONVERGENCE_RUNS" not in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
            # Threads run differently each time, so a shrunk history may not fail again.
            phases=[Phase.generate],
            print_blob=True,
        ),
    )
