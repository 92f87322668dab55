"""Runs of converge, and other writers, that collide at the worst moment."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

import app
from chalicelib import clients, convergence
from chalicelib.audit import AuditTrail
from chalicelib.convergence import Converger, Unsettled
from chalicelib.indexing import Position, Walk
from chalicelib.outcomes import Outcome
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

        def finish_first(record: Any, attempt: str, **more: Any) -> None:
            finish_attempt(record, attempt, **more)
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


def test_a_repair_leaves_a_face_that_is_being_indexed(
    quiet: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    collision = Collision(monkeypatch, app.converger())
    collision.start_first()
    faces = quiet.faces()

    for step in Walk(app.converger(), None, repair=True).steps(Position("faces")):
        if step.key:
            app.converger().converge(step.key, "second", force=step.force, stray=step.stray)

    assert quiet.faces() == faces
    assert quiet.whose(photograph("obama2.jpg")) == "obama"
    quiet.assert_consistent()


def test_a_face_that_an_upload_needs_while_a_repair_deletes_it_is_indexed_again(
    quiet: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The photograph of the stray face is stored again just before the face is deleted."""
    app.converger().converge(KEY, uuid4().hex)
    quiet.remove(KEY)
    for id_ in quiet.items():
        quiet.table.delete_item(Key={"faceId": id_})
    delete: Callable[[list[str]], None] = app.faces.delete

    def late(face_ids: list[str]) -> None:
        monkeypatch.undo()
        quiet.s3.put_object(Bucket=BUCKET, Key=KEY, Body=photograph("obama.jpg"))
        app.converger().converge(KEY, uuid4().hex)
        delete(face_ids)

    monkeypatch.setattr(app.faces, "delete", late)
    for step in Walk(app.converger(), None, repair=True).steps(Position("faces")):
        if step.key:
            app.converger().converge(step.key, uuid4().hex, force=step.force)

    assert quiet.whose(photograph("obama2.jpg")) == "obama"
    quiet.assert_consistent()


@pytest.mark.parametrize("operation", ["IndexFaces", "DeleteFaces"])
def test_a_throttled_attempt_leaves_nothing_to_look_for(quiet: Service, operation: str) -> None:
    if operation == "DeleteFaces":
        app.converger().converge(KEY, uuid4().hex)
        quiet.remove(KEY)
    quiet.aws.faults.script(Fault(operation, "throttle"))

    with pytest.raises(ClientError, match="ThrottlingException"):
        app.converger().converge(KEY, "throttled")
    record = quiet.photograph(KEY)
    assert record is not None
    assert (record["running"], record["versions"]) == ({}, {})
    outcome = app.converger().converge(KEY, "other")

    assert outcome.change == ("removed" if operation == "DeleteFaces" else "indexed")
    quiet.assert_consistent()


def test_an_attempt_that_was_throttled_after_a_timeout_is_looked_after(quiet: Service) -> None:
    """The call may have done something before it was tried again."""
    trying_again = app.faces.__class__(clients.rekognition, app.faces.collection_id)
    converger = Converger(
        app.photographs, app.records, trying_again, app.converger().audit, app.settings
    )
    quiet.aws.faults.script(Fault("IndexFaces", "throttle", times=0))

    with pytest.raises(ClientError, match="ThrottlingException"):
        converger.converge(KEY, "throttled")

    assert list(quiet.photograph(KEY)["running"]) == ["throttled"]  # type: ignore[index]


def killed(*_: Any, **__: Any) -> None:
    """Stand in for a method during which the process is killed."""
    raise KeyboardInterrupt


@pytest.fixture
def stopped(quiet: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service after a run that was killed once it had indexed, and a new photograph."""

    with monkeypatch.context() as patch:
        patch.setattr(app.records, "finish_attempt", killed)
        with pytest.raises(KeyboardInterrupt):
            app.converger().converge(KEY, "stopped")
    quiet.s3.put_object(Bucket=BUCKET, Key=KEY, Body=photograph("biden.jpg"))
    quiet.aws.faults.clear()
    return quiet


def calls_to_rekognition(service: Service) -> list[str]:
    return [c for _, c in service.aws.faults.calls if c.endswith(("Faces", "FacesByImage"))]


def test_the_face_of_a_stopped_attempt_is_found_by_its_version(stopped: Service) -> None:
    app.converger().converge(KEY, "stopped")

    assert calls_to_rekognition(stopped) == ["IndexFaces", "IndexFaces", "DeleteFaces"]
    assert stopped.photograph(KEY)["versions"] == {}  # type: ignore[index]
    stopped.assert_consistent()


def test_another_run_finds_it_when_the_attempt_is_out_of_time(stopped: Service) -> None:
    settings = replace(app.settings, attempt_seconds=0.001)
    converger = Converger(app.photographs, app.records, app.faces, app.converger().audit, settings)
    stopped.remove(KEY)

    assert converger.converge(KEY, "other").change == "removed"
    assert calls_to_rekognition(stopped) == ["IndexFaces", "DeleteFaces"]
    stopped.assert_consistent()


def test_a_second_stop_loses_no_version(stopped: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(app.faces, "index", killed)
        with pytest.raises(KeyboardInterrupt):
            app.converger().converge(KEY, "stopped")
    app.converger().converge(KEY, "stopped")

    stopped.assert_consistent()


def test_a_face_whose_version_is_gone_is_left_to_a_repair(stopped: Service) -> None:
    *_, old = stopped.s3.list_object_versions(Bucket=BUCKET, Prefix=KEY)["Versions"]
    stopped.s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=old["VersionId"])

    app.converger().converge(KEY, "stopped")

    assert len(stopped.faces()) == 2
    assert stopped.whose(photograph("obama.jpg")) is None
    assert stopped.post("create-index", {"repair": True}).json()["repaired"]["faces"] == 1
    stopped.assert_consistent()


def test_a_photograph_is_indexed_once_although_its_face_is_shown_late(quiet: Service) -> None:
    quiet.aws.rekognition.lag.seconds = 3600

    for attempt in ("first", "second"):
        app.converger().converge(KEY, attempt)

    quiet.aws.rekognition.lag.seconds = 0
    assert calls_to_rekognition(quiet) == ["IndexFaces"]
    quiet.assert_consistent()


def test_a_face_that_a_failed_attempt_deletes_is_indexed_again(
    quiet: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run replaces a photograph that comes back while it works."""
    app.converger().converge(KEY, uuid4().hex)
    quiet.s3.put_object(Bucket=BUCKET, Key=KEY, Body=photograph("biden.jpg"))
    delete: Callable[[list[str]], None] = app.faces.delete

    def late(face_ids: list[str]) -> None:
        monkeypatch.setattr(app.faces, "delete", delete)
        quiet.s3.put_object(Bucket=BUCKET, Key=KEY, Body=photograph("obama.jpg"))
        with monkeypatch.context() as patch, suppress(Unsettled):
            patch.setattr(convergence, "PATIENCE", 0.0)  # it would wait for the first run
            app.converger().converge(KEY, "second")
        delete(face_ids)

    monkeypatch.setattr(app.faces, "delete", late)
    app.converger().converge(KEY, "first")

    assert quiet.whose(photograph("obama2.jpg")) == "obama"
    quiet.assert_consistent()


def test_an_item_that_another_writer_is_changing_is_read_again(quiet: Service) -> None:
    code = "TransactionConflictException"
    quiet.aws.faults.script(Fault("UpdateItem", "error before", code=code, status=400))

    assert app.converger().converge(KEY, uuid4().hex).change == "indexed"

    assert quiet.aws.faults.met["error before"] == 1
    quiet.assert_consistent()
