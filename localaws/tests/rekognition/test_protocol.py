"""Requests that are refused before an operation begins, and their errors."""

import base64
import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from localaws.rekognition import RekognitionApp
from localaws.rekognition.operations import Operations
from sample_photographs import photograph


def post(endpoint, operation, body):
    """Send a request that no SDK would, and return the status and the error."""
    request = urllib.request.Request(
        endpoint,
        data=body if isinstance(body, bytes) else json.dumps(body).encode(),
        headers={"X-Amz-Target": f"RekognitionService.{operation}"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def refusal(call, **parameters):
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    return refused.value.response


def test_an_error_has_aws_form(endpoint):
    status, error = post(endpoint, "DeleteCollection", {"CollectionId": "nobody"})

    assert status == 400
    assert error == {
        "__type": "ResourceNotFoundException",
        "Code": "ResourceNotFoundException",
        "Message": "The collection id: nobody does not exist",
    }


def test_every_answer_has_its_own_request_id(rekognition):
    answers = [rekognition.list_collections() for _ in range(2)]

    first, second = (answer["ResponseMetadata"]["RequestId"] for answer in answers)
    assert first != second


def test_an_operation_that_is_not_here_says_so_and_is_not_tried_again(rekognition):
    response = refusal(rekognition.detect_labels, Image={"Bytes": photograph("obama.jpg")})

    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["Error"]["Code"] == "NotImplementedException"
    assert "DetectLabels is not implemented" in response["Error"]["Message"]


@pytest.mark.parametrize("operation", ["DetectCats", "", "reset", "__init__"])
def test_an_operation_that_aws_does_not_have_is_unknown(endpoint, operation):
    status, error = post(endpoint, operation, {})

    assert (status, error["__type"]) == (400, "UnknownOperationException")


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"text"', b"\xff", {"CollectionId": 7}, {"CollectionId": ["people"]}],
)
def test_what_is_not_the_expected_json_is_refused(endpoint, body):
    status, error = post(endpoint, "DescribeCollection", body)

    assert (status, error["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize("threshold", ["80", True, float("nan")])
def test_a_number_must_be_a_number(endpoint, threshold):
    body = {"CollectionId": "people", "FaceId": "x", "FaceMatchThreshold": threshold}

    status, error = post(endpoint, "SearchFaces", body)

    assert (status, error["__type"]) == (400, "SerializationException")


def test_image_bytes_must_be_base64(endpoint):
    status, error = post(endpoint, "DetectFaces", {"Image": {"Bytes": "not base64!"}})

    assert (status, error["__type"]) == (400, "InvalidImageFormatException")


def test_a_missing_member_is_named(endpoint):
    status, error = post(endpoint, "DescribeCollection", {"CollectionId": None})

    assert (status, error["__type"]) == (400, "ValidationException")
    assert error["Message"] == (
        "1 validation error detected: Value null at 'collectionId' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_members_that_aws_does_not_know_are_ignored(endpoint):
    status, _ = post(endpoint, "ListCollections", {"Colour": "blue"})

    assert status == 200


@pytest.mark.parametrize(
    ("operation", "parameters", "constraint"),
    [
        ("list_collections", {"MaxResults": 4097}, "'maxResults'"),
        ("create_collection", {"CollectionId": "x" * 256}, "less than or equal to 255"),
        (
            "search_faces",
            {"CollectionId": "people", "FaceId": "not-a-uuid"},
            "at 'faceId' failed to satisfy constraint: Member must satisfy regular expression",
        ),
        (
            "search_faces",
            {
                "CollectionId": "people",
                "FaceId": "11111111-2222-4333-8444-555555555555",
                "FaceMatchThreshold": 100.5,
            },
            "at 'faceMatchThreshold' failed to satisfy constraint: "
            "Member must have value less than or equal to 100",
        ),
        (
            "index_faces",
            {"CollectionId": "people", "Image": {"Bytes": b"x"}, "ExternalImageId": "a/b"},
            "Value 'a/b' at 'externalImageId'",
        ),
        (
            "index_faces",
            {"CollectionId": "people", "Image": {"Bytes": b"x"}, "QualityFilter": "BEST"},
            "enum value set: [NONE, AUTO, LOW, MEDIUM, HIGH]",
        ),
        (
            "detect_faces",
            {"Image": {"S3Object": {"Bucket": "no spaces", "Name": "x"}}},
            "at 'image.s3Object.bucket'",
        ),
    ],
)
def test_constraints_of_the_service_model_hold(rekognition, operation, parameters, constraint):
    error = refusal(getattr(rekognition, operation), **parameters)["Error"]

    assert error["Code"] == "ValidationException"
    assert constraint in error["Message"]


def test_several_broken_constraints_are_all_named(rekognition):
    error = refusal(
        rekognition.search_faces, CollectionId="a b", FaceId="x", FaceMatchThreshold=101
    )["Error"]

    assert error["Message"].startswith("3 validation errors detected: ")


@pytest.mark.parametrize(
    "image",
    [{}, {"Bytes": b"x", "S3Object": {"Bucket": "photographs", "Name": "x"}}],
)
def test_an_image_is_either_bytes_or_an_object(rekognition, image):
    with pytest.raises(rekognition.exceptions.InvalidParameterException):
        rekognition.detect_faces(Image=image)


def test_an_object_needs_bucket_and_name(rekognition):
    with pytest.raises(rekognition.exceptions.InvalidS3ObjectException):
        rekognition.detect_faces(Image={"S3Object": {"Name": "x"}})


def test_a_request_beyond_reason_is_refused(endpoint):
    huge = {"Image": {"Bytes": base64.b64encode(bytes(25 * 1024 * 1024)).decode()}}

    status, error = post(endpoint, "DetectFaces", huge)

    assert (status, error["__type"]) == (413, "RequestEntityTooLargeException")


def test_an_unexpected_failure_is_a_500_and_is_logged(rekognition, monkeypatch, caplog):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(Operations, "list_collections", fail)
    response = refusal(rekognition.list_collections)

    assert response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert response["Error"] == {
        "Code": "InternalServerError",
        "Message": "Internal server error",
    }
    assert "ListCollections failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_region_and_account_are_in_the_arns():
    app = RekognitionApp(lambda *_: b"", region="eu-west-1", account="999999999999")
    operations = app._operations

    made = operations.create_collection({"CollectionId": "club"})

    assert made["CollectionArn"] == "aws:rekognition:eu-west-1:999999999999:collection/club"
