from collections.abc import Callable

import pytest

from sample_photographs import photograph, resized
from tests.cli.conftest import Faces, Terminal
from tests.support.service import BUCKET, COLLECTION, Service

KEY = "faces/obama/a.jpg"


@pytest.fixture
def obama(service: Service) -> Service:
    """The service with one person."""
    service.upload(KEY, photograph("obama.jpg"), Metadata={"name": "Barack%20Obama"})
    return service


def test_agreement_is_found(faces: Faces, obama: Service) -> None:
    said = faces("check", "--json")

    assert said.code == 0
    assert said.json == {
        "photographs": 1,
        "recorded": 1,
        "faces": 1,
        "records": 2,
        "findings": [],
        "repaired": None,
    }
    assert "in agreement" in faces("check").out


def lose_face(service: Service) -> None:
    service.rekognition.delete_faces(CollectionId=COLLECTION, FaceIds=service.faces())


def lose_face_record(service: Service) -> None:
    service.table.delete_item(Key={"faceId": service.faces()[0]})


def lose_photograph_record(service: Service) -> None:
    service.table.delete_item(Key={"faceId": f"image#{KEY}"})


def add_stray_face(service: Service) -> None:
    service.rekognition.index_faces(
        CollectionId=COLLECTION, Image={"Bytes": resized(photograph("biden.jpg"), 400)}
    )


def without_events(change: Callable[[Service], object]) -> Callable[[Service], None]:
    """Make a change without an event for the service."""

    def run(service: Service) -> None:
        service.s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={}
        )
        change(service)

    return run


def remove_photograph(service: Service) -> None:
    service.s3.delete_object(Bucket=BUCKET, Key=KEY)


def add_photograph(service: Service) -> None:
    service.s3.put_object(Bucket=BUCKET, Key="faces/biden/b.jpg", Body=photograph("biden.jpg"))


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (lose_face, {"face_missing"}),
        (lose_face_record, {"face_record_missing", "stray_face"}),
        (lose_photograph_record, {"not_indexed", "stray_record"}),
        (add_stray_face, {"stray_face"}),
        (without_events(remove_photograph), {"photograph_missing"}),
        (without_events(add_photograph), {"not_indexed"}),
    ],
    ids=["face", "face record", "photograph record", "stray face", "removed", "added"],
)
def test_disagreement_is_found_and_repaired(
    faces: Faces, obama: Service, harm: Callable[[Service], None], kinds: set[str]
) -> None:
    harm(obama)

    found = faces("check", "--json")
    repaired = faces("check", "--repair", "--json")

    assert found.code == 1
    assert {finding["kind"] for finding in found.json["findings"]} == kinds
    assert (repaired.code, repaired.json["findings"]) == (0, []), repaired
    assert repaired.json["repaired"]["failed"] == []
    obama.assert_consistent()


def record_photographs_that_are_elsewhere(service: Service, count: int) -> None:
    """Add records of photographs that are not in the bucket, as if it were the wrong one."""
    for number in range(count):
        item = {"faceId": f"image#faces/p{number}/a.jpg", "personId": f"p{number}"}
        service.table.put_item(Item={**item, "status": "indexed", "etag": "e", "faceIds": []})


def test_a_repair_that_would_forget_many_asks_first(
    faces: Faces, obama: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_photographs_that_are_elsewhere(obama, 6)
    before = obama.items()

    refused = faces("check", "--repair", "--json")
    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    asked = faces("check", "--repair")

    assert (refused.code, refused.error["code"]) == (2, "not_confirmed")
    assert f"forget 6 of 7 recorded photographs, of 6 people, because bucket {BUCKET}" in asked.err
    assert obama.items() == before
    assert faces("check", "--repair", "--yes", "--json").json["repaired"]["removed"] == 6
    obama.assert_consistent()


def test_a_repair_asks_before_it_removes_faces_that_cannot_be_indexed_again(
    faces: Faces, obama: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEP_PHOTOGRAPHS", "0")
    for size in range(400, 520, 20):
        obama.rekognition.index_faces(
            CollectionId=COLLECTION,
            Image={"Bytes": resized(photograph("biden.jpg"), size)},
            ExternalImageId=f"biden:{size}",
        )

    said = faces("check", "--repair")

    assert (said.code, len(obama.faces())) == (2, 7)
    assert "remove 6 of 7 faces, because table face-metadata does not know them" in said.err


def test_a_rejected_photograph_is_no_disagreement(faces: Faces, service: Service) -> None:
    service.upload(KEY, b"not a photograph")

    assert faces("check", "--json").code == 0


def test_a_repair_tells_what_it_could_not_index(faces: Faces, service: Service) -> None:
    service.upload(KEY, b"not a photograph")

    said = faces("check", "--repair")

    assert said.code == 1
    assert f"{KEY}: " in said.out
    assert "(unsupported_image)" in said.out
