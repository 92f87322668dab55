"""Browser uploads to S3 must keep to their signed policy."""

from typing import Any

import boto3
import pytest
from botocore.config import Config

from localaws.refusals import RequestRefused
from localaws.services.s3.post_policy import check


def signed(conditions: list[Any], expires_in: int = 60, **fields: str) -> dict[str, str]:
    """Return the fields of a form that boto3 presigns for the bucket ``photos``."""
    s3 = boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(signature_version="s3v4"),
    )
    post = s3.generate_presigned_post(
        "photos", "faces/ada/1.jpg", fields, conditions, ExpiresIn=expires_in
    )
    return {"bucket": "photos"} | {name.lower(): value for name, value in post["fields"].items()}


def secret_for(access_key_id: str) -> str | None:
    return "secret" if access_key_id == "key" else None


JPEG: list[Any] = [{"Content-Type": "image/jpeg"}, ["content-length-range", 1, 100]]


def test_what_the_policy_allows_is_let_through() -> None:
    check(signed(JPEG, **{"Content-Type": "image/jpeg"}), 100, secret_for)


@pytest.mark.parametrize(
    ("changes", "size", "code"),
    [
        ({}, 101, "EntityTooLarge"),
        ({}, 0, "EntityTooSmall"),
        ({"key": "faces/eve/1.jpg"}, 1, "AccessDenied"),
        ({"content-type": "text/html"}, 1, "AccessDenied"),
        ({"bucket": "others"}, 1, "AccessDenied"),
        ({"acl": "public-read"}, 1, "AccessDenied"),
        ({"x-amz-signature": "0" * 64}, 1, "SignatureDoesNotMatch"),
        ({"x-amz-signature": "é"}, 1, "SignatureDoesNotMatch"),
        ({"x-amz-signature": ""}, 1, "SignatureDoesNotMatch"),
        ({"x-amz-algorithm": "none"}, 1, "SignatureDoesNotMatch"),
        ({"x-amz-date": "20200101T000000Z"}, 1, "AccessDenied"),
        ({"policy": "e30="}, 1, "SignatureDoesNotMatch"),
        (
            {"x-amz-credential": "nobody/20260101/us-east-1/s3/aws4_request"},
            1,
            "InvalidAccessKeyId",
        ),
    ],
)
def test_what_the_policy_forbids_is_refused_as_s3_does(
    changes: dict[str, str], size: int, code: str
) -> None:
    fields = signed(JPEG, **{"Content-Type": "image/jpeg"}) | changes

    with pytest.raises(RequestRefused) as refused:
        check(fields, size, secret_for)

    assert refused.value.code == code


@pytest.mark.parametrize(
    "conditions", [["no-list"], [["unheard-of", "$key", ""]], [["content-length-range", "a", 1]]]
)
def test_a_policy_that_is_none_is_refused(conditions: list[Any]) -> None:
    with pytest.raises(RequestRefused) as refused:
        check(signed(conditions), 1, secret_for)

    assert refused.value.code == "InvalidPolicyDocument"


def test_an_expired_policy_is_refused() -> None:
    with pytest.raises(RequestRefused, match="expired"):
        check(signed([], expires_in=-1), 1, secret_for)


def test_an_upload_without_a_policy_is_refused() -> None:
    with pytest.raises(RequestRefused, match="Access Denied"):
        check({"bucket": "photos", "key": "x"}, 1, secret_for)
