"""``POST /register``, with photographs and without."""

import base64
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

from chalicelib.storage import Photographs
from sample_photographs import (
    blurred,
    covered,
    darkened,
    group,
    landscape,
    photograph,
    resized,
    rotated,
)
from tests.support.problems import problem
from tests.support.service import BUCKET, Service, without_events

OBAMA, BIDEN = "obama.jpg", "biden.jpg"


def test_a_photograph_is_stored_recorded_and_indexed(service: Service) -> None:
    answer = service.register(photograph(OBAMA), name="Barack Obama", personId="obama")

    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["personId"] == "obama"
    assert body["name"] == "Barack Obama"
    assert body["status"] == "registered"
    assert body["imageKey"].startswith("faces/obama/")
    assert set(body["face"]) == {"boundingBox", "confidence", "quality", "pose"}
    assert service.objects() == [body["imageKey"]]
    service.settle()
    record = service.photograph(body["imageKey"])
    assert record is not None
    assert record["status"] == "indexed"
    assert record["faceIds"] == service.faces()
    service.assert_consistent()


def test_the_same_photograph_again_changes_nothing(service: Service) -> None:
    first = service.register(photograph(OBAMA), name="Barack Obama", personId="obama")
    at_once = service.register(photograph(OBAMA), name="Barack Obama", personId="obama")
    service.settle()
    before = service.items()
    later = service.register(photograph(OBAMA), name="Barack Obama", personId="obama")
    service.settle()

    assert (first.status_code, at_once.status_code, later.status_code) == (201, 200, 200)
    assert first.json() == at_once.json() == later.json()
    assert service.items() == before
    assert service.versions() == len(service.faces()) == 1
    service.assert_consistent()


def test_a_person_may_have_several_photographs(service: Service) -> None:
    for name in (OBAMA, "obama2.jpg"):
        answer = service.register(photograph(name), name="Barack Obama", personId="obama")
        assert answer.status_code == 201, answer.text
        service.settle()

    assert len(service.faces()) == 2
    service.assert_consistent()


def test_a_name_can_be_corrected_with_the_same_photograph(service: Service) -> None:
    service.register(photograph(OBAMA), name="Barak Obama", personId="obama")
    service.settle()
    answer = service.register(photograph(OBAMA), name="Barack Obama", personId="obama")
    service.settle()

    assert answer.status_code == 200
    assert service.verify(photograph(OBAMA)).json()["person"]["name"] == "Barack Obama"
    assert len(service.faces()) == 1
    service.assert_consistent()


@pytest.mark.parametrize(
    "name",
    [
        "باراك أوباما",
        "علی\u200cرضا",  # noqa: RUF001
        "ශ්\u200dරියානි",
        "贝拉克·奥巴马",
        "🙂" * 150,
        "O'Neil + Sons %41",
    ],
)
def test_a_name_in_any_script_comes_back(service: Service, name: str) -> None:
    service.register(photograph(OBAMA), name=name, personId="obama")
    service.settle()

    assert service.verify(photograph("obama2.jpg")).json()["person"]["name"] == name


def test_a_name_that_s3_cannot_keep_is_refused(service: Service) -> None:
    answer = service.register(photograph(OBAMA), name="🙂" * 200)

    assert problem(answer, 400) == "malformed_request"
    assert answer.json()["errors"][0]["field"] == "name"


def test_a_new_person_id_is_the_same_for_a_repeated_request(service: Service) -> None:
    first = service.register(photograph(OBAMA), name="Barack Obama")
    again = service.register(photograph(OBAMA), name="Barack Obama")

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["personId"]


def test_a_face_of_another_person_is_refused(service: Service) -> None:
    service.register(photograph(OBAMA), name="Barack Obama", personId="obama")
    service.settle()
    answer = service.register(photograph(OBAMA), name="Somebody Else", personId="else")

    assert problem(answer, 409) == "face_registered_to_another_person"
    assert answer.json()["personId"] == "obama"
    assert len(service.objects()) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"image": "data:image/jpeg;base64," + base64.b64encode(photograph(OBAMA)).decode()},
        {"image": base64.encodebytes(photograph(OBAMA)).decode()},
    ],
    ids=["data URL", "wrapped base64"],
)
def test_a_photograph_may_come_as(service: Service, body: dict[str, Any]) -> None:
    assert service.post("register", {"name": "Barack Obama", **body}).status_code == 201


def test_a_photograph_may_be_the_body(service: Service) -> None:
    answer = service.post(
        "register",
        data=photograph(OBAMA),
        params={"name": "Barack Obama", "personId": "obama"},
        headers={"Content-Type": "image/jpeg"},
    )

    assert answer.status_code == 201, answer.text
    assert answer.json()["personId"] == "obama"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phone_photograph_may_lie_on_its_side(service: Service, orientation: int) -> None:
    image = rotated(photograph(OBAMA), orientation)

    assert service.register(image, name="Barack Obama", personId="obama").status_code == 201
    service.settle()
    assert service.whose(photograph("obama2.jpg")) == "obama"


def test_group_photographs_are_refused(service: Service) -> None:
    answer = service.register(group(OBAMA, BIDEN), name="Both")

    assert problem(answer, 422) == "several_faces"
    assert "2 faces" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("image", "status", "code", "words"),
    [
        (landscape(), 422, "no_face", "no face"),
        (darkened(photograph(OBAMA)), 422, "poor_quality", "too dark"),
        (blurred(photograph(OBAMA)), 422, "poor_quality", "too blurred"),
        (resized(photograph(OBAMA), 110), 422, "poor_quality", "too small"),
        (resized(photograph(OBAMA), 60), 422, "image_too_small", "80x80"),
        (b"This is a text file.", 415, "unsupported_image", "neither a JPEG nor a PNG"),
        (photograph(OBAMA)[:50_000], 415, "unsupported_image", "cut off"),
        (bytes(10 * 1024 * 1024), 413, "image_too_large", "15 MiB"),
        (b"", 415, "unsupported_image", "empty"),
    ],
    ids=[
        "landscape",
        "dark",
        "blurred",
        "small face",
        "tiny",
        "text.jpg",
        "truncated",
        "10 MB",
        "empty",
    ],
)
def test_unusable_photographs_are_refused(
    service: Service, image: bytes, status: int, code: str, words: str
) -> None:
    answer = service.register(image, name="Somebody")

    assert problem(answer, status) == code
    assert words in answer.json()["detail"]
    assert service.objects() == []
    assert service.items() == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [(b'{"personId": "ada"}', "name"), (b'{"name": "Ada"', "JSON"), (b"[]", "array")],
    ids=["no name", "malformed", "no object"],
)
def test_malformed_requests_are_refused(service: Service, body: bytes, words: str) -> None:
    answer = service.post("register", data=body, headers={"Content-Type": "application/json"})

    assert problem(answer, 400) == "malformed_request"
    assert words in answer.json()["detail"]


def test_the_record_of_a_rejected_photograph_holds_the_reason(service: Service) -> None:
    service.upload("faces/nobody/landscape.jpg", landscape())

    record = service.photograph("faces/nobody/landscape.jpg")
    assert record is not None
    assert (record["status"], record["reason"]) == ("rejected", "no_face")


class TestUploads:
    """A registration without an image returns an address to upload one."""

    def allow(self, service: Service, **fields: Any) -> dict[str, Any]:
        answer = service.register(None, name="Barack Obama", personId="obama", **fields)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        assert body["upload"]["expiresIn"] == 900
        return body

    def send(self, body: dict[str, Any], image: bytes, **changes: str) -> requests.Response:
        upload = body["upload"]
        form = {**upload["fields"], **changes}
        return requests.post(upload["url"], data=form, files={"file": image}, timeout=60)

    def test_the_photograph_is_registered_under_the_name(self, service: Service) -> None:
        body = self.allow(service)
        sent = self.send(body, photograph(OBAMA))
        service.settle()

        assert sent.status_code == 204, sent.text
        assert service.objects() == [body["imageKey"]]
        person = service.verify(photograph("obama2.jpg")).json()["person"]
        assert person == {"personId": "obama", "name": "Barack Obama"}
        service.assert_consistent()

    def test_a_png_may_be_uploaded(self, service: Service) -> None:
        body = self.allow(service, contentType="image/png")

        assert body["imageKey"].endswith(".png")
        assert body["upload"]["fields"]["Content-Type"] == "image/png"

    @pytest.mark.parametrize(
        "changes",
        [
            {"key": "faces/eve/photograph.jpg"},
            {"Content-Type": "text/html"},
            {"x-amz-meta-name": "Eve"},
            {"acl": "public-read"},
        ],
        ids=["key", "type", "name", "acl"],
    )
    def test_nothing_else_may_be_sent(self, service: Service, changes: dict[str, str]) -> None:
        sent = self.send(self.allow(service), photograph(OBAMA), **changes)

        assert sent.status_code == 403
        assert service.objects() == []

    def test_exactly_one_file_may_be_sent(self, service: Service) -> None:
        upload = self.allow(service)["upload"]
        for files in ([], [("file", photograph(OBAMA)), ("file", photograph(BIDEN))]):
            form = {name: (None, value) for name, value in upload["fields"].items()}
            parts = [*form.items(), *files]
            sent = requests.post(upload["url"], files=parts, timeout=60)

            assert sent.status_code == 400
        assert service.objects() == []

    def test_15_megabytes_may_be_sent(self, service: Service) -> None:
        body = self.allow(service)
        largest = photograph(OBAMA).ljust(15 * 1024 * 1024, b"\0")

        assert self.send(body, largest + b"\0").status_code == 400
        assert self.send(body, largest).status_code == 204
        service.settle()
        assert service.whose(photograph("obama2.jpg")) == "obama"

    def test_nothing_is_recorded_before_the_photograph_comes(self, service: Service) -> None:
        self.allow(service)

        assert service.items() == {}


def test_a_bystander_is_not_registered_as_the_person(service: Service) -> None:
    """Rekognition drops the largest face if its quality is poor, and indexes the next one."""
    picture = group(covered(photograph(OBAMA)), photograph(BIDEN), heights=[900, 260])
    answer = service.register(picture, name="Barack Obama", personId="obama")
    assert answer.status_code == 201  # DetectFaces does not report covered eyes
    service.upload("faces/obama/upload.jpg", picture)

    for key in service.objects():
        record = service.photograph(key)
        assert record is not None
        assert (record["status"], record["reason"]) == ("rejected", "poor_quality")
    assert service.faces() == []
    assert service.whose(photograph(BIDEN)) is None
    service.assert_consistent()


def test_a_photograph_can_be_registered_again_before_its_deletion_is_handled(
    service: Service,
) -> None:
    person = {"name": "Barack Obama", "personId": "obama"}
    key = service.register(photograph(OBAMA), **person).json()["imageKey"]
    service.settle()
    with without_events(service):
        service.s3.delete_object(Bucket=BUCKET, Key=key)

    assert service.register(photograph(OBAMA), **person).status_code == 201

    service.settle()
    assert service.objects() == [key]
    service.assert_consistent()


def test_a_face_without_a_record_belongs_to_nobody(service: Service) -> None:
    service.upload("faces/obama/1.jpg", photograph(OBAMA))
    for face_id in service.items():
        service.table.delete_item(Key={"faceId": face_id})

    answer = service.register(photograph(OBAMA), name="Barack Obama", personId="else")

    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "il-central-1"])
def test_uploads_go_to_the_buckets_own_region(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    client = boto3.client("s3", region_name=region, config=Config(signature_version="s3v4"))

    upload = Photographs(lambda: client, "club").presign_upload(
        "faces/a/b.jpg", "image/jpeg", {}, 60
    )

    assert upload.url == f"https://club.s3.{region}.amazonaws.com/"
