"""Runs of converge, and other writers, that collide at the worst moment."""

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

import app
from chalicelib import convergence
from chalicelib.audit import AuditTrail
from chalicelib.convergence import Converger, Outcome
from chalicelib.indexing import Position, Walk
from localaws.middleware.faults import Fault
from sample_photographs import photograph
from tests.support.service import BUCKET, Service, without_events

KEY = "faces/obama/a.jpg"
TIMEOUT = 20


@pytest.fixture
def quiet(service: Service) -> Iterator[Service]:
    """The service with one photograph and without events."""
    with without_events(service):
        service.s3.put_object(Bucket=BUCKET, Key=KEY, Body=photograph("obama.jpg"))
        yield service


class Collision:
    """Two runs. The first one pauses after it has indexed, until the second one has finished."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, converger: Converger) -> None:
        self._is_indexing, self._may_continue = threading.Event(), threading.Event()
        self._outcomes: dict[str, Outcome] = {}
        self._first = threading.Thread(target=self._run, args=(converger, "first"))
        self._converger = converger
        index = app.faces.index

        def slowly(*arguments: Any) -> object:
            indexed = index(*arguments)
            if threading.current_thread() is self._first:
                self._is_indexing.set()
                assert self._may_continue.wait(TIMEOUT)
            return indexed

        finish_attempt = app.records.finish_attempt

        def finish_first(record: Any, attempt: str, *more: Any) -> None:
            finish_attempt(record, attempt, *more)
            if attempt == "second":
                self.end_first()

        monkeypatch.setattr(app.faces, "index", slowly)
        monkeypatch.setattr(app.records, "finish_attempt", finish_first)
        monkeypatch.setattr(convergence, "TAKE_OVER_AFTER", 0.0)

    def _run(self, converger: Converger, name: str) -> None:
        self._outcomes[name] = converger.converge(KEY, name)

    def end_first(self) -> None:
        """Let the first run continue to its end."""
        self._may_continue.set()
        self._first.join(TIMEOUT)

    def start_first(self) -> None:
        """Start the first run, and wait until it indexes."""
        self._first.start()
        assert self._is_indexing.wait(TIMEOUT)

    def run(self) -> dict[str, Outcome]:
        """Run both, and return their outcomes."""
        self.start_first()
        self._run(self._converger, "second")
        self.end_first()
        return self._outcomes


def test_two_runs_with_the_same_content_are_one_registration(
    quiet: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = Collision(monkeypatch, app.converger()).run()

    assert outcomes["second"].change == "indexed"
    assert len(quiet.faces()) == 1
    trail = AuditTrail(lambda: quiet.dynamodb, app.settings.faces_audit_table)
    assert [entry.event for entry in trail.of_person("obama")] == ["registered"]
    assert quiet.photograph(KEY)["running"] == {}  # type: ignore[index]
    quiet.assert_consistent()


def test_a_run_that_gets_another_face_removes_it_again(
    quiet: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as is known, Rekognition returns one face to two that index the same photograph."""
    index = app.faces.index

    def another(*arguments: Any) -> Any:
        indexed = index(*arguments)
        if threading.current_thread() is threading.main_thread():
            return indexed
        own = quiet.rekognition.index_faces(
            CollectionId=app.faces.collection_id,
            Image={"Bytes": photograph("obama.jpg")},
            ExternalImageId="obama:another",
        )
        return replace(indexed, face_id=own["FaceRecords"][0]["Face"]["FaceId"])

    monkeypatch.setattr(app.faces, "index", another)
    Collision(monkeypatch, app.converger()).run()

    assert len(quiet.faces()) == 1
    quiet.assert_consistent()


def test_a_face_stays_if_its_photograph_is_replaced_before_another_run_starts(
    discarding: Converger, quiet: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    collision = Collision(monkeypatch, discarding)
    start_attempt = app.records.start_attempt

    def late(before: Any, attempt: str, *more: Any) -> Any:
        if attempt == "second":
            collision.end_first()
        return start_attempt(before, attempt, *more)

    monkeypatch.setattr(app.records, "start_attempt", late)

    assert collision.run()["second"].change == "unchanged"

    assert quiet.whose(photograph("obama2.jpg")) == "obama"
    (version,) = quiet.s3.list_object_versions(Bucket=BUCKET)["Versions"]
    assert version["Size"] < 100
    quiet.assert_consistent()


def test_a_placeholder_with_another_name_keeps_its_face(
    discarding: Converger, quiet: Service
) -> None:
    discarding.converge(KEY, uuid4().hex)
    faces = quiet.faces()
    found = quiet.s3.head_object(Bucket=BUCKET, Key=KEY)["Metadata"]
    quiet.s3.copy_object(
        Bucket=BUCKET,
        Key=KEY,
        CopySource={"Bucket": BUCKET, "Key": KEY},
        Metadata={**found, "name": "Barack%20Obama"},
        MetadataDirective="REPLACE",
    )

    discarding.converge(KEY, uuid4().hex)

    assert quiet.faces() == faces
    person = quiet.verify(photograph("obama2.jpg")).json()["person"]
    assert person == {"personId": "obama", "name": "Barack Obama"}
    quiet.assert_consistent()


def test_a_name_corrected_while_its_photograph_is_replaced_is_kept(
    discarding: Converger, quiet: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_with_placeholder = app.photographs.replace_with_placeholder

    def slowly(stored: Any) -> bool:
        monkeypatch.undo()
        corrected = {"name": "Barack%20Obama", "consent": "v2"}
        image = photograph("obama.jpg")
        quiet.s3.put_object(Bucket=BUCKET, Key=KEY, Body=image, Metadata=corrected)
        return replace_with_placeholder(stored)

    monkeypatch.setattr(app.photographs, "replace_with_placeholder", slowly)

    discarding.converge(KEY, uuid4().hex)

    record = quiet.photograph(KEY)
    assert record is not None
    assert (record["name"], record["consent"]) == ("Barack Obama", "v2")
    (version,) = quiet.s3.list_object_versions(Bucket=BUCKET)["Versions"]
    assert version["Size"] < 100
    quiet.assert_consistent()


def test_a_face_that_a_repair_deletes_while_it_is_indexed_is_indexed_again(
    quiet: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    repairing = threading.current_thread()
    collision = Collision(monkeypatch, app.converger())
    delete: Callable[[list[str]], None] = app.faces.delete

    def late(face_ids: list[str]) -> None:
        if face_ids and threading.current_thread() is repairing:
            collision.end_first()  # its last look finds its face
        delete(face_ids)

    monkeypatch.setattr(app.faces, "delete", late)
    collision.start_first()

    walk = Walk(app.converger(), None, repair=True)
    for step in walk.steps(Position("faces")):
        if step.key:
            app.converger().converge(step.key, uuid4().hex, force=step.force)

    assert walk.repaired.faces == 1
    assert quiet.whose(photograph("obama2.jpg")) == "obama"
    quiet.assert_consistent()


def test_an_item_that_another_writer_is_changing_is_read_again(quiet: Service) -> None:
    code = "TransactionConflictException"
    quiet.aws.faults.script(Fault("UpdateItem", "error before", code=code, status=400))

    assert app.converger().converge(KEY, uuid4().hex).change == "indexed"

    assert quiet.aws.faults.met["error before"] == 1
    quiet.assert_consistent()
