"""``POST /create-index`` brings the index in line with the photographs."""

import pytest

from chalicelib import faces, indexing
from facial_recognition.local.project import Project
from sample_photographs import landscape, photograph
from tests.support.problems import problem
from tests.support.service import BUCKET, COLLECTION, Service


@pytest.fixture
def silent(service: Service) -> Service:
    """The service without events, as before its deployment."""
    service.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
    return service


def test_it_creates_the_collection(service: Service) -> None:
    service.rekognition.delete_collection(CollectionId=COLLECTION)
    answer = service.post("create-index", {})

    assert answer.status_code == 200
    assert answer.json() == {
        "collectionId": COLLECTION,
        "indexed": [],
        "unchanged": 0,
        "removed": 0,
        "failed": [],
        "nextToken": None,
    }
    assert COLLECTION in service.rekognition.list_collections()["CollectionIds"]


def test_it_indexes_photographs_from_before_the_deployment(silent: Service) -> None:
    silent.upload("faces/obama/1.jpg", photograph("obama.jpg"))
    silent.upload("faces/biden/1.jpg", photograph("biden.jpg"))
    silent.upload("faces/ada/view.jpg", landscape())
    silent.upload("faces/ada/", b"")
    body = silent.post("create-index").json()

    assert [(p["imageKey"], p["personId"]) for p in body["indexed"]] == [
        ("faces/biden/1.jpg", "biden"),
        ("faces/obama/1.jpg", "obama"),
    ]
    assert sorted(p["faceId"] for p in body["indexed"]) == sorted(silent.faces())
    (failed,) = body["failed"]
    assert (failed["imageKey"], failed["code"]) == ("faces/ada/view.jpg", "no_face")
    assert failed["detail"]
    assert silent.whose(photograph("obama2.jpg")) == "obama"

    again = silent.post("create-index").json()
    assert (again["indexed"], again["unchanged"], again["failed"]) == ([], 2, [failed])


def test_it_removes_the_faces_of_deleted_photographs(silent: Service) -> None:
    silent.upload("faces/obama/1.jpg", photograph("obama.jpg"))
    silent.post("create-index")
    silent.remove("faces/obama/1.jpg")
    body = silent.post("create-index").json()

    assert body["removed"] == 1
    assert silent.faces() == []
    assert silent.items() == {}


def test_a_request_can_select_one_person_or_one_photograph(silent: Service) -> None:
    for key in ("faces/obama/1.jpg", "faces/obama/2.jpg", "faces/obama-b/1.jpg"):
        silent.upload(key, photograph("obama.jpg"))
    one = silent.post("create-index", {"imageKey": "faces/obama/2.jpg"}).json()
    person = silent.post("create-index", {"personId": "obama"}).json()

    assert [p["imageKey"] for p in one["indexed"]] == ["faces/obama/2.jpg"]
    assert [p["imageKey"] for p in person["indexed"]] == ["faces/obama/1.jpg"]
    assert person["unchanged"] == 1

    silent.remove("faces/obama/1.jpg")
    assert silent.post("create-index", {"personId": "obama"}).json()["removed"] == 1


def test_a_missing_photograph_is_reported(service: Service) -> None:
    body = service.post("create-index", {"imageKey": "faces/ada/1.jpg"}).json()

    assert body["failed"][0]["code"] == "image_missing"


def test_a_walk_that_runs_out_of_time_continues_with_the_token(
    silent: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"faces/obama/{n}.jpg" for n in range(3)]
    for key in keys:
        silent.upload(key, photograph("obama.jpg"))
    monkeypatch.setattr(indexing, "TIME_BUDGET", 0.0)
    indexed: list[str] = []
    token, calls = None, 0
    while calls == 0 or token:
        body = silent.post("create-index", {"nextToken": token} if token else {}).json()
        indexed += [photograph["imageKey"] for photograph in body["indexed"]]
        token, calls = body["nextToken"], calls + 1

    assert indexed == keys
    assert calls == len(keys) + 1  # the last one is for the records
    silent.assert_consistent()


@pytest.mark.parametrize("repair", [False, True])
def test_a_walk_can_be_interrupted_at_any_page(
    silent: Service, monkeypatch: pytest.MonkeyPatch, repair: bool
) -> None:
    for n in range(3):
        silent.upload(f"faces/obama/{n}.jpg", photograph("obama.jpg"))
    silent.post("create-index")
    monkeypatch.setattr(indexing, "TIME_BUDGET", 0.0)
    monkeypatch.setattr(indexing, "PAGE", 1)
    monkeypatch.setattr(faces, "PAGE", 1)
    token, calls, unchanged = None, 0, 0
    while calls == 0 or token:
        body = {"repair": repair} | ({"nextToken": token} if token else {})
        report = silent.post("create-index", body).json()
        unchanged += report["unchanged"]
        token, calls = report["nextToken"], calls + 1

    items_and_faces = 6 + (3 if repair else 0)
    assert unchanged == 3
    assert 3 + items_and_faces <= calls <= 3 + items_and_faces + 2
    silent.assert_consistent()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"nextToken": "x"}, "nextToken"),
        ({"nextToken": "e30x"}, "nextToken"),
        ({"imageKey": "elsewhere/1.jpg"}, "imageKey"),
        ({"imageKey": "faces/a/1.jpg", "personId": "a"}, "personId"),
    ],
)
def test_malformed_requests_are_refused(service: Service, body: dict[str, str], field: str) -> None:
    answer = service.post("create-index", body)

    assert problem(answer, 400) == "malformed_request"
    assert answer.json()["errors"][0]["field"] == field


def test_the_project_can_be_set_up_again_and_again(service: Service, project: Project) -> None:
    from facial_recognition.local.project import set_up

    service.upload("faces/obama/1.jpg", photograph("obama.jpg"))
    set_up(project)
    set_up(project)

    assert service.s3.list_buckets()["Buckets"][0]["Name"] == BUCKET
    assert service.whose(photograph("obama2.jpg")) == "obama"
