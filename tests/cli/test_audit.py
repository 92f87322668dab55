"""The audit trail answers the questions of a regulator and identifies nobody."""

import json

import boto3

from chalicelib.access import caller
from chalicelib.storage import MAX_NAME_BYTES, object_metadata
from sample_photographs import photograph, resized
from tests.cli.conftest import Faces
from tests.support.service import Service


def trail(faces: Faces, person: str = "obama") -> list[tuple[str, str | None]]:
    """Return events and consents of a person."""
    events = faces("audit", person, "--json").json
    return [(event["event"], event.get("consent")) for event in events]


def test_registration_and_removal_are_noted(faces: Faces, service: Service) -> None:
    answer = service.register(
        photograph("obama.jpg"), name="Barack Obama", personId="obama", consent="v1"
    )
    service.settle()
    service.remove(answer.json()["imageKey"])

    assert trail(faces) == [("registered", "v1"), ("removed", "v1")]


def test_a_plain_upload_is_noted_too(faces: Faces, service: Service) -> None:
    service.upload("faces/obama/a.jpg", photograph("obama.jpg"), Metadata={"consent": "v2"})

    assert trail(faces) == [("registered", "v2")]


def test_indexing_again_is_not_a_registration(faces: Faces, service: Service) -> None:
    service.upload("faces/obama/a.jpg", photograph("obama.jpg"))
    service.rekognition.delete_faces(CollectionId="face-collection", FaceIds=service.faces())
    service.post("create-index", {"repair": True})

    assert len(service.faces()) == 1
    assert trail(faces) == [("registered", None)]


def test_consent_given_later_is_noted(faces: Faces, service: Service) -> None:
    for consent in ("v1", "v1", "v2"):
        service.register(photograph("obama.jpg"), name="O", personId="obama", consent=consent)
        service.settle()
    service.register(photograph("obama.jpg"), name="Barack", personId="obama")  # without consent
    service.settle()

    assert trail(faces) == [("registered", "v1"), ("registered", "v2")]
    (record,) = [item for item in service.items().values() if "status" in item]
    assert (record["name"], record["consent"]) == ("Barack", "v2")


def test_another_photograph_in_its_place_is_noted(faces: Faces, service: Service) -> None:
    service.upload("faces/obama/a.jpg", photograph("obama.jpg"))
    service.upload("faces/obama/a.jpg", resized(photograph("obama.jpg"), 500))

    assert trail(faces) == [("registered", None)] * 2


def test_the_trail_identifies_nobody(faces: Faces, service: Service) -> None:
    answer = service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama")
    service.settle()
    face_ids = service.faces()
    service.remove(answer.json()["imageKey"])

    everything = json.dumps(faces("audit", "--json").json) + json.dumps(
        boto3.client("dynamodb").scan(TableName="face-audit")["Items"]
    )

    assert "removed" in everything
    for secret in ("obama", "Barack", *face_ids, photograph_sha(answer.json()["imageKey"])):
        assert secret not in everything


def photograph_sha(key: str) -> str:
    """Return the SHA-256 in a photograph's key."""
    return key.rpartition("/")[2].partition(".")[0]


def test_name_consent_and_caller_fit_into_what_s3_keeps() -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Operator/ada@example.com"
    assert object_metadata("Ada", "v1", arn)["caller"] == arn
    name = "\N{SLIGHTLY SMILING FACE}" * (MAX_NAME_BYTES // 12)
    largest = object_metadata(name, "c" * 40, "a" * 500) | {"stands-for": "0" * 32 + "-10000"}
    assert sum(len(key) + len(value) for key, value in largest.items()) <= 2048


def test_consent_is_a_version_and_no_text(service: Service) -> None:
    for consent in ("I agree", "c" * 41, ""):
        answer = service.register(photograph("obama.jpg"), name="Ada", consent=consent)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "consent"


def test_callers_are_identified_by_their_credentials() -> None:
    assert caller({"identity": {"apiKeyId": "abc123", "userArn": None}}) == "key:abc123"
    arn = "arn:aws:iam::123456789012:user/ada"
    assert caller({"identity": {"userArn": arn, "apiKeyId": None}}) == arn
    claims = {"claims": {"sub": "0b1c"}}
    assert caller({"identity": {}, "authorizer": claims}) == "cognito:0b1c"
    assert caller({"identity": {"sourceIp": "127.0.0.1"}}) is None
