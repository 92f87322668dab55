import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from facial_recognition.infra.failed_events import FailedEventsQueue
from localaws.credentials import AccessKey
from processes import session_with
from sample_photographs import photograph, resized
from tests.cli.conftest import Faces, Terminal
from tests.support.paths import ROOT
from tests.support.processes import run_service, started, wait_for
from tests.support.service import BUCKET, COLLECTION, FAILED_EVENTS, Service


@pytest.fixture
def both(service: Service) -> Service:
    """Two people; one of them has traces in every place."""
    service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama", consent="v1")
    service.register(photograph("biden.jpg"), name="Joe Biden", personId="biden")
    service.settle()
    # A photograph with two versions, a deleted one, and an unfinished upload.
    service.upload("faces/obama/new.jpg", photograph("obama2.jpg"))
    service.upload("faces/obama/new.jpg", photograph("obama3.jpg"))
    service.upload("faces/obama/old.jpg", resized(photograph("obama.jpg"), 400))
    service.remove("faces/obama/old.jpg")
    service.s3.create_multipart_upload(Bucket=BUCKET, Key="faces/obama/big.jpg")
    # A stray face, a stray record, and failed events.
    service.rekognition.index_faces(
        CollectionId=COLLECTION,
        Image={"Bytes": resized(photograph("obama.jpg"), 420)},
        ExternalImageId="obama:0123456789abcdef",
    )
    service.table.put_item(Item={"faceId": "stray", "personId": "obama"})
    for key in ("faces/obama/new.jpg", "faces/biden/x.jpg"):
        fail(service, key)
    return service


def fail(service: Service, key: str) -> None:
    """Put an event into the queue of failed events."""
    record: dict[str, Any] = {
        "timestamp": "2026-01-01T00:00:00.000Z",
        "requestContext": {"functionArn": "arn:aws:lambda:us-east-1:1:function:f:$LATEST"},
        "requestPayload": {"Records": [{"s3": {"object": {"key": key}}}]},
    }
    url = service.sqs.get_queue_url(QueueName=FAILED_EVENTS)["QueueUrl"]
    service.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(record))


def test_nothing_is_left_of_a_person(faces: Faces, both: Service) -> None:
    said = faces("forget", "obama", "--yes", "--json")

    both.settle()
    assert said.code == 0, said
    assert said.json["removed"] == {
        "versions": 5,  # of three photographs, with a delete marker
        "uploads": 1,
        "records": 5,  # of two photographs and their faces, and a stray one
        "faces": 3,
        "failedEvents": 1,
    }
    listing = both.s3.list_object_versions(Bucket=BUCKET)
    found = [v["Key"] for kind in ("Versions", "DeleteMarkers") for v in listing.get(kind, [])]
    assert [key.split("/")[1] for key in found] == ["biden"]
    assert not both.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")
    assert "obama" not in json.dumps(both.items(), default=str)
    (face,) = both.rekognition.list_faces(CollectionId=COLLECTION)["Faces"]
    assert face["ExternalImageId"].startswith("biden:")
    failed = FailedEventsQueue(boto3.Session(), FAILED_EVENTS).receive()
    assert [event.keys for event in failed] == [["faces/biden/x.jpg"]]
    assert both.whose(photograph("obama.jpg")) is None
    assert both.whose(photograph("biden.jpg")) == "biden"


def test_the_audit_trail_stays(faces: Faces, both: Service) -> None:
    faces("forget", "obama", "--yes")

    shown = faces("show", "obama", "--json").json
    assert shown["photographs"] == []
    assert shown["name"] is None
    assert shown["trail"][0]["event"] == "registered"
    assert shown["trail"][0]["consent"] == "v1"
    assert shown["trail"][-1]["event"] == "forgotten"
    assert shown["trail"][-1]["caller"].startswith("arn:aws:")


def test_it_asks_first(faces: Faces, both: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    before = both.items()

    unasked = faces("forget", "obama", "--json")
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    refused = faces("forget", "obama")

    assert (unasked.code, unasked.out, unasked.error["code"]) == (2, "", "not_confirmed")
    assert (refused.code, refused.out) == (2, "")
    assert "Forget obama in stage dev for good: 5 versions" in refused.err
    assert refused.err.endswith("error: Nothing was changed.\n")
    assert both.items() == before


def test_ctrl_c_at_the_question_ends_it(
    faces: Faces, both: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(Terminal):
        def readline(self, *_: object) -> str:
            raise KeyboardInterrupt

    before = both.items()
    monkeypatch.setattr("sys.stdin", Impatient())

    assert faces("forget", "obama").code == 130
    assert both.items() == before


def test_somebody_unknown_is_an_error(faces: Faces, both: Service) -> None:
    said = faces("forget", "obamo", "--yes", "--json")

    assert (said.code, said.error["code"]) == (2, "person_unknown")
    assert faces("audit", "obamo", "--json").json == []


def test_nothing_is_left_in_logs_and_files(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = run_service("--port", "0", "--api-port", "0", "--data", str(data))
    with started(*command) as process:
        api, aws = wait_for(process, r"^ready API (\S+) AWS (\S+)$").groups()
        own_key = AccessKey.kept_in(data).environment
        environment = {**os.environ, **own_key, "AWS_ENDPOINT_URL": aws}

        def faces(*arguments: str) -> None:
            command = [sys.executable, "-m", "facial_recognition.cli", *arguments, "--json"]
            subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)

        for _ in range(2):
            people = {"name": "Barack Hussein", "personId": "obama44"}
            jpeg = {"Content-Type": "image/jpeg"}
            image = photograph("obama.jpg")
            answer = requests.post(
                f"{api}/register", image, headers=jpeg, params=people, timeout=30
            )
            assert answer.ok
        requests.post(f"{api}/register", data=b"{", timeout=30)  # an error that is logged
        face_id = wait_for_face(session_with(data / "credentials"), aws)
        requests.post(f"{api}/verify", photograph("obama2.jpg"), headers=jpeg, timeout=30)
        faces("forget", "obama44", "--yes")
        key = answer.json()["imageKey"].rpartition("/")[2]
        traces = ("obama44", "Hussein", face_id, key)
        deadline = time.monotonic() + 30
        while any(trace.encode() in content(data) for trace in traces):
            assert time.monotonic() < deadline  # the service is still running
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        log = process.stdout.read()
        process.wait()

    assert '"outcome":"indexed"' in log
    assert BUCKET.encode() in content(data)
    for trace in traces:
        assert trace not in log
        assert trace.encode() not in content(data)


def content(folder: Path) -> bytes:
    """Return the content of all files in a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def wait_for_face(session: boto3.Session, aws: str) -> str:
    """Wait until a face is in the collection, and return its id."""
    rekognition = session.client("rekognition", endpoint_url=aws)
    while not (found := rekognition.list_faces(CollectionId=COLLECTION)["Faces"]):
        pass
    return found[0]["FaceId"]
