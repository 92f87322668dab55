"""Pages use S3 from a browser as far as the CORS rules of the bucket allow."""

from typing import Any

import pytest
import requests

from laboratory import Laboratory

PAGE = "http://localhost:3000"
ASK = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}


@pytest.fixture
def bucket(laboratory: Laboratory) -> str:
    """The address of a bucket that takes uploads from one page, and lets all pages read."""
    laboratory.aws.guard.admit(PAGE, "https://other.example")
    laboratory.s3.create_bucket(Bucket="bucket")
    rules = [
        {
            "AllowedOrigins": ["http://localhost:*"],
            "AllowedMethods": ["POST"],
            "AllowedHeaders": ["content-type", "x-amz-*"],
            "MaxAgeSeconds": 60,
        },
        {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"], "ExposeHeaders": ["ETag"]},
    ]
    laboratory.s3.put_bucket_cors(Bucket="bucket", CORSConfiguration={"CORSRules": rules})
    return f"{laboratory.aws.url}/bucket"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"Access-Control-Request-Headers": "Content-Type, X-Amz-Date"}, 200),
        ({"Access-Control-Request-Headers": "content-type,authorization"}, 403),
        ({"Access-Control-Request-Method": "DELETE"}, 403),
        ({"Access-Control-Request-Method": ""}, 403),
        ({"Origin": "https://other.example"}, 403),
        ({"Origin": "https://foreign.example"}, 403),
    ],
    ids=str,
)
def test_a_preflight_is_answered_by_the_rules_of_the_bucket(
    bucket: str, changes: dict[str, str], status: int
) -> None:
    answer = requests.options(f"{bucket}/key", headers={**ASK, **changes}, timeout=30)

    assert answer.status_code == status
    assert answer.headers.get("Access-Control-Allow-Origin") == (PAGE if status == 200 else None)


def test_a_page_reads_the_answer_to_its_upload(laboratory: Laboratory, bucket: str) -> None:
    form: Any = laboratory.s3.generate_presigned_post(Bucket="bucket", Key="key")
    wrong = {**form["fields"], "key": "other"}
    for fields, status in ((form["fields"], 204), (wrong, 403)):
        answer = requests.post(
            bucket, data=fields, files={"file": b"1"}, headers={"Origin": PAGE}, timeout=30
        )
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE


def test_a_page_reads_what_a_presigned_address_gives(laboratory: Laboratory, bucket: str) -> None:
    laboratory.s3.put_object(Bucket="bucket", Key="key", Body=b"1")
    parameters = {"Bucket": "bucket", "Key": "key"}
    address = laboratory.s3.generate_presigned_url("get_object", Params=parameters)

    answer = requests.get(address, headers={"Origin": "https://other.example"}, timeout=30)

    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert answer.headers["Access-Control-Expose-Headers"] == "etag"
    assert "Access-Control-Allow-Origin" not in requests.get(address, timeout=30).headers
