"""``POST /create-index`` with ``repair`` mends damage that no event could have caused."""

from collections.abc import Callable
from typing import Any

import pytest

from sample_photographs import photograph, resized
from tests.support.service import BUCKET, COLLECTION, TABLE, Service

OBAMA = resized(photograph("obama.jpg"), 400)
BIDEN = resized(photograph("biden.jpg"), 400)
KEY = "faces/obama/1.jpg"


@pytest.fixture
def club(service: Service) -> Service:
    """The service with two members."""
    service.upload(KEY, OBAMA)
    service.upload("faces/biden/1.jpg", BIDEN)
    return service


def repair(service: Service) -> dict[str, Any]:
    """Repair everything, call by call, and check that everything agrees afterwards."""
    total: dict[str, Any] = {"indexed": 0, "removed": 0, "faces": 0, "records": 0}
    token = None
    while True:
        body = {"repair": True} | ({"nextToken": token} if token else {})
        answer = service.post("create-index", body)
        assert answer.status_code == 200, answer.text
        report = answer.json()
        assert report["failed"] == []
        total["indexed"] += len(report["indexed"])
        total["removed"] += report["removed"]
        total["faces"] += report["repaired"]["faces"]
        total["records"] += report["repaired"]["records"]
        token = report["nextToken"]
        if token is None:
            service.assert_consistent()
            return total


def a_face_indexed_by_hand(service: Service) -> None:
    service.rekognition.index_faces(
        CollectionId=COLLECTION, Image={"Bytes": OBAMA}, ExternalImageId="by-hand", MaxFaces=1
    )


def a_face_deleted_by_hand(service: Service) -> None:
    service.rekognition.delete_faces(
        CollectionId=COLLECTION, FaceIds=list(service.photograph(KEY)["faceIds"])
    )


def an_emptied_table(service: Service) -> None:
    for face_id in service.items():
        service.table.delete_item(Key={"faceId": face_id})


def an_emptied_collection(service: Service) -> None:
    service.rekognition.delete_collection(CollectionId=COLLECTION)


def a_record_of_a_face_deleted_by_hand(service: Service) -> None:
    service.table.delete_item(Key={"faceId": service.photograph(KEY)["faceIds"][0]})


def a_record_of_a_photograph_deleted_by_hand(service: Service) -> None:
    service.table.delete_item(Key={"faceId": f"image#{KEY}"})


def a_record_without_a_face(service: Service) -> None:
    item = service.items()[service.photograph(KEY)["faceIds"][0]]
    service.table.put_item(Item={**item, "faceId": "00000000-0000-0000-0000-000000000000"})


def a_record_without_a_photograph(service: Service) -> None:
    item = service.photograph(KEY)
    service.table.put_item(
        Item={**item, "faceId": "image#faces/obama/gone.jpg", "faceIds": [], "attempts": 1}
    )


def a_photograph_deleted_without_an_event(service: Service) -> None:
    service.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
    service.remove(KEY)


@pytest.mark.parametrize(
    ("damage", "mended"),
    [
        (a_face_indexed_by_hand, {"faces": 1}),
        (a_face_deleted_by_hand, {"indexed": 1}),
        (an_emptied_table, {"indexed": 2}),
        (an_emptied_collection, {"indexed": 2}),
        (a_record_of_a_face_deleted_by_hand, {"indexed": 1}),
        (a_record_of_a_photograph_deleted_by_hand, {"indexed": 1}),
        (a_record_without_a_face, {"records": 1}),
        (a_record_without_a_photograph, {"removed": 1}),
        (a_photograph_deleted_without_an_event, {"removed": 1}),
    ],
)
def test_damage_is_mended(
    club: Service, damage: Callable[[Service], None], mended: dict[str, int]
) -> None:
    damage(club)
    report = repair(club)

    assert {name: n for name, n in report.items() if n} == mended
    assert club.whose(BIDEN) == "biden"
    assert club.whose(OBAMA) == (
        None if damage is a_photograph_deleted_without_an_event else "obama"
    )


def test_a_healthy_system_stays_as_it_is(club: Service) -> None:
    before = club.items(), club.faces()

    assert not any(repair(club).values())
    assert (club.items(), club.faces()) == before
    assert club.table.name == TABLE


def test_one_photograph_can_be_indexed_again(club: Service) -> None:
    a_face_deleted_by_hand(club)
    answer = club.post("create-index", {"imageKey": KEY, "repair": True}).json()

    assert [p["imageKey"] for p in answer["indexed"]] == [KEY]
    club.assert_consistent()


def test_foreign_items_and_faces_do_no_harm(club: Service) -> None:
    """An account may hold registrations from before this service."""
    old = club.rekognition.index_faces(
        CollectionId=COLLECTION,
        Image={"Bytes": resized(photograph("obama.jpg"), 380)},
        ExternalImageId="obama.jpg",
    )
    face_id = old["FaceRecords"][0]["Face"]["FaceId"]
    items = [
        {"faceId": face_id, "fullName": "Barack Obama", "imageKey": "index/obama.jpg"},
        {"faceId": "image#faces/obama/old.jpg", "version": {"n": [1, None, b"x"]}},
    ]
    for item in items:
        club.table.put_item(Item=item)

    assert club.whose(photograph("obama2.jpg")) == "obama"
    again = club.register(OBAMA, name="Barack Obama", personId="obama")
    assert again.status_code == 201, again.text
    club.settle()
    for body in ({}, {"personId": "obama"}, {"repair": True}):
        report = club.post("create-index", body)
        assert report.status_code == 200, report.text
        assert report.json()["failed"] == []

    assert face_id not in club.faces()  # no record accounts for it
    assert len(club.faces()) == 3
    for item in items:
        assert club.items()[item["faceId"]]["faceId"] == item["faceId"]
