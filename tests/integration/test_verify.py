"""``POST /verify``: one to many, and one to one."""

import pytest

from chalicelib import verification
from sample_photographs import group, landscape, photograph
from tests.support.problems import problem
from tests.support.service import TABLE, Service


@pytest.fixture
def club(service: Service) -> Service:
    """The service with two members."""
    for person, name, image in (
        ("obama", "Barack Obama", "obama.jpg"),
        ("biden", "Joe Biden", "biden.jpg"),
    ):
        assert service.register(photograph(image), name=name, personId=person).status_code == 201
    service.settle()
    return service


def test_a_person_is_recognised_from_another_photograph(club: Service) -> None:
    answer = club.verify(photograph("obama2.jpg"))

    assert answer.status_code == 200
    body = answer.json()
    assert body["verified"] is True
    assert body["person"] == {"personId": "obama", "name": "Barack Obama"}
    assert body["similarity"] >= body["threshold"] == 95
    (match,) = body["matches"]
    assert match["faceId"] in club.faces()
    assert match["imageKey"] in club.objects()
    assert match["similarity"] == body["similarity"]
    assert set(body["face"]) == {"boundingBox", "confidence"}


def test_a_stranger_is_not_recognised(service: Service) -> None:
    service.register(photograph("biden.jpg"), name="Joe Biden", personId="biden")
    service.settle()
    body = service.verify(photograph("obama.jpg")).json()

    assert body["verified"] is False
    assert body["person"] is body["similarity"] is None
    assert body["matches"] == []


def test_the_largest_face_is_searched_for(club: Service) -> None:
    both = group("obama2.jpg", "biden.jpg", heights=(900, 450))

    assert club.whose(both) == "obama"


def test_each_person_has_one_match_and_the_best_comes_first(club: Service) -> None:
    club.register(photograph("obama3.jpg"), name="Barack Obama", personId="obama")
    club.settle()
    everybody = club.verify(photograph("obama3.jpg"), threshold=0).json()["matches"]
    one = club.verify(photograph("obama3.jpg"), threshold=0, maxMatches=1).json()["matches"]

    assert [match["personId"] for match in everybody] == ["obama", "biden"]
    assert everybody[0]["similarity"] > everybody[1]["similarity"]
    assert one == everybody[:1]


def test_one_to_one(club: Service) -> None:
    right = club.verify(photograph("obama2.jpg"), personId="obama").json()
    wrong = club.verify(photograph("obama2.jpg"), personId="biden").json()

    assert right["verified"] is True
    assert right["person"]["personId"] == "obama"
    assert wrong["verified"] is False
    assert wrong["matches"] == []


def test_one_to_one_when_many_others_are_more_similar(
    club: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "MAX_FACES", 1)

    answer = club.verify(photograph("obama2.jpg"), personId="biden", threshold=0).json()

    assert answer["person"]["personId"] == "biden"
    assert 0 < answer["similarity"] < 50


def test_an_unknown_person_id(club: Service) -> None:
    answer = club.verify(photograph("obama2.jpg"), personId="nobody")

    assert problem(answer, 404) == "person_unknown"


def test_a_face_without_a_record_names_nobody(club: Service) -> None:
    (match,) = club.verify(photograph("obama2.jpg")).json()["matches"]
    club.table.delete_item(Key={"faceId": match["faceId"]})

    assert club.table.name == TABLE
    assert club.verify(photograph("obama2.jpg")).json()["verified"] is False


def test_a_photograph_may_be_the_body(club: Service) -> None:
    answer = club.post(
        "verify",
        data=photograph("obama2.jpg"),
        params={"threshold": "90", "maxMatches": "1"},
        headers={"Content-Type": "image/jpeg"},
    )

    assert answer.json()["person"]["personId"] == "obama"
    assert answer.json()["threshold"] == 90


@pytest.mark.parametrize(
    ("image", "status", "code"),
    [
        (None, 400, "image_missing"),
        (landscape(), 422, "no_face"),
        (b"text", 415, "unsupported_image"),
        (photograph("obama.jpg")[:-9999], 415, "unsupported_image"),
        (bytes(10 * 1024 * 1024), 413, "image_too_large"),
    ],
    ids=["none", "landscape", "text", "truncated", "10 MB"],
)
def test_unusable_photographs_are_refused(
    club: Service, image: bytes | None, status: int, code: str
) -> None:
    assert problem(club.verify(image), status) == code


def test_a_missing_index_is_reported(service: Service) -> None:
    service.rekognition.delete_collection(CollectionId="face-collection")
    answer = service.verify(photograph("obama.jpg"))

    assert problem(answer, 503) == "service_unavailable"
    assert "create-index" in answer.json()["detail"]
    assert answer.headers["Retry-After"]
