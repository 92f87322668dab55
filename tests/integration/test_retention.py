"""A stage that keeps no photographs: the face stays, the photograph is deleted."""

from uuid import uuid4

import pytest

import app
from chalicelib.convergence import Converger
from chalicelib.indexing import create_index
from chalicelib.messages import CreateIndexRequest
from chalicelib.settings import Settings
from sample_photographs import landscape, photograph, resized
from tests.support.service import BUCKET, Service

KEY = "faces/obama/a.jpg"


def contents(service: Service) -> list[bytes]:
    """Return all versions of all objects in the bucket."""
    listing = service.s3.list_object_versions(Bucket=BUCKET)
    return [
        service.s3.get_object(Bucket=BUCKET, Key=v["Key"], VersionId=v["VersionId"])["Body"].read()
        for v in listing.get("Versions", [])
    ]


def test_the_face_stays_and_the_photograph_is_deleted(
    service: Service, discarding: Converger
) -> None:
    service.upload(KEY, resized(photograph("obama.jpg"), 500))
    service.upload(KEY, photograph("obama.jpg"), Metadata={"name": "Barack", "consent": "v1"})
    faces, items = service.faces(), service.items()

    discarding.converge(KEY, uuid4().hex)
    service.settle()

    (left,) = contents(service)
    assert left.startswith(b"The photograph ")
    assert service.faces() == faces
    assert service.items() == items
    assert service.whose(photograph("obama2.jpg")) == "obama"
    service.assert_consistent()


def test_deleting_the_placeholder_removes_the_face(service: Service, discarding: Converger) -> None:
    service.upload(KEY, photograph("obama.jpg"))
    discarding.converge(KEY, uuid4().hex)
    service.remove(KEY)

    assert (service.faces(), service.items()) == ([], {})


def test_a_later_photograph_is_kept(
    service: Service, discarding: Converger, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.upload(KEY, photograph("obama.jpg"))
    replace_with_placeholder = app.photographs.replace_with_placeholder

    def slowly(stored: object) -> bool:
        monkeypatch.undo()
        service.upload(KEY, photograph("biden.jpg"))
        return replace_with_placeholder(stored)  # type: ignore[arg-type]

    monkeypatch.setattr(app.photographs, "replace_with_placeholder", slowly)
    discarding.converge(KEY, uuid4().hex)
    service.settle()

    assert service.whose(photograph("biden.jpg")) == "obama"  # the folder tells the person
    assert service.whose(photograph("obama.jpg")) is None
    assert len(contents(service)) == 1
    service.assert_consistent()


def test_create_index_replaces_photographs_that_were_kept_before(
    service: Service, discarding: Converger
) -> None:
    service.upload(KEY, photograph("obama.jpg"))
    service.upload("faces/sky/b.jpg", landscape())

    create_index(CreateIndexRequest(), discarding, uuid4().hex, Settings(index_rate=100))
    service.settle()
    looked_at = [step.outcome for step in _steps(discarding)]

    assert all(content.startswith(b"The photograph ") for content in contents(service))
    assert len(contents(service)) == 2
    assert None not in looked_at  # the listing alone shows that there is nothing to do
    service.assert_consistent()


def _steps(discarding: Converger) -> list[object]:
    from chalicelib.indexing import Position, Walk

    return list(Walk(discarding, None, repair=False).steps(Position()))


def test_a_repair_keeps_the_faces_of_photographs_that_were_not_kept(
    service: Service, discarding: Converger
) -> None:
    service.upload(KEY, photograph("obama.jpg"))
    discarding.converge(KEY, uuid4().hex)
    service.settle()
    faces = service.faces()

    for repair in ({"repair": True}, {"repair": True, "imageKey": KEY}):
        assert service.post("create-index", repair).json()["failed"] == []
    assert service.faces() == faces
    service.assert_consistent()


def test_a_face_that_is_not_listed_is_not_deleted(service: Service, discarding: Converger) -> None:
    service.upload(KEY, photograph("obama.jpg"))
    discarding.converge(KEY, uuid4().hex)
    service.settle()
    service.aws.rekognition.lag.seconds = 3600
    service.upload("faces/biden/b.jpg", photograph("biden.jpg"))
    discarding.converge("faces/biden/b.jpg", uuid4().hex)
    service.settle()
    items = service.items()

    for key in (KEY, "faces/biden/b.jpg"):
        discarding.converge(key, uuid4().hex)
    assert service.post("create-index", {"repair": True}).json()["failed"] == []

    service.aws.rekognition.lag.seconds = 0
    assert service.items().keys() == items.keys()
    service.assert_consistent()


def test_a_face_that_is_listed_again_is_not_lost(service: Service, discarding: Converger) -> None:
    service.aws.rekognition.lag.seconds = 3600
    service.upload(KEY, photograph("obama.jpg"))
    discarding.converge(KEY, uuid4().hex)
    service.settle()
    (face_id,) = service.photograph(KEY)["faceIds"]  # type: ignore[index]
    service.age_face(face_id)
    (failed,) = service.post("create-index", {"repair": True}).json()["failed"]
    service.aws.rekognition.lag.seconds = 0

    assert failed["code"] == "photograph_not_kept"
    assert service.post("create-index", {"repair": True}).json()["failed"] == []
    assert service.whose(photograph("obama2.jpg")) == "obama"
    service.assert_consistent()


def test_a_lost_face_has_to_be_registered_again(service: Service, discarding: Converger) -> None:
    service.upload(KEY, photograph("obama.jpg"))
    discarding.converge(KEY, uuid4().hex)
    service.settle()
    service.lose_face()

    for _ in range(2):
        (failed,) = service.post("create-index", {"repair": True}).json()["failed"]
        assert failed["code"] == "photograph_not_kept"
    service.upload(KEY, photograph("obama.jpg"))
    assert service.whose(photograph("obama2.jpg")) == "obama"
    service.assert_consistent()


def test_a_lost_face_can_be_registered_over_http(service: Service, discarding: Converger) -> None:
    person = {"name": "Barack Obama", "personId": "obama"}
    key = service.register(photograph("obama.jpg"), **person).json()["imageKey"]
    service.settle()
    discarding.converge(key, uuid4().hex)
    service.settle()
    service.lose_face()
    service.post("create-index", {"repair": True})

    assert service.register(photograph("obama.jpg"), **person).status_code == 200
    service.settle()
    assert service.whose(photograph("obama2.jpg")) == "obama"


def test_registering_the_same_photograph_again_changes_nothing(
    service: Service, discarding: Converger
) -> None:
    person = {"name": "Barack Obama", "personId": "obama"}
    key = service.register(photograph("obama.jpg"), **person).json()["imageKey"]
    service.settle()
    discarding.converge(key, uuid4().hex)
    service.settle()
    before = (service.items(), contents(service))

    assert service.register(photograph("obama.jpg"), **person).status_code == 200
    service.settle()
    assert (service.items(), contents(service)) == before
