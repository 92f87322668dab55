"""Browser uploads to S3 must keep to their signed policy."""

from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

from laboratory import Laboratory
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


# --- forms, as they come from a browser ---

SOMEBODYS = "faces/eve/1.jpg"


@pytest.fixture
def form(laboratory: Laboratory) -> tuple[str, dict[str, str]]:
    """The address and the fields of an upload as ``faces/ada/1.jpg``."""
    laboratory.s3.create_bucket(Bucket="photos")
    laboratory.s3.put_object(Bucket="photos", Key=SOMEBODYS, Body=b"eve")
    post = laboratory.s3.generate_presigned_post("photos", "faces/ada/1.jpg")
    return f"{laboratory.aws.url}/photos", post["fields"]


def send(address: str, parts: list[tuple[str, str, bytes]], end: bytes = b"--X--\r\n") -> Any:
    """Send a form of parts with a name, a file name (or none) and a content."""
    body = b""
    for name, file_name, content in parts:
        shown = f'; filename="{file_name}"' if file_name else ""
        head = f'--X\r\nContent-Disposition: form-data; name="{name}"{shown}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=X"}
    return requests.post(address, data=body + end, headers=headers, timeout=30)


def parts_of(fields: dict[str, str]) -> list[tuple[str, str, bytes]]:
    return [(name, "", value.encode()) for name, value in fields.items()]


FILE = ("file", "ada.jpg", b"ada")


@pytest.mark.parametrize("is_first", [False, True], ids=["behind", "before"])
@pytest.mark.parametrize(
    "added",
    [
        ("key", "", SOMEBODYS.encode()),
        ("Key", "", SOMEBODYS.encode()),
        ("KEY", "", SOMEBODYS.encode()),
        ("kEy", "", SOMEBODYS.encode()),
        ("key", "key.txt", SOMEBODYS.encode()),
        ("Policy", "", b"e30="),
        ("X-Amz-Signature", "", b"0"),
        ("file", "", b"eve"),
        ("file", "eve.jpg", b"eve"),
        ("File", "eve.jpg", b"eve"),
        ("FILE", "", b"eve"),
        ("photo", "eve.jpg", b"eve"),
    ],
    ids=str,
)
def test_a_name_stands_in_a_form_once(
    laboratory: Laboratory,
    form: tuple[str, dict[str, str]],
    added: tuple[str, str, bytes],
    is_first: bool,
) -> None:
    address, fields = form
    own = [*parts_of(fields), FILE]

    answer = send(address, [added, *own] if is_first else [*own[:-1], added, own[-1]])

    assert answer.status_code == 400, answer.text
    assert contents(laboratory) == {SOMEBODYS: b"eve"}


def test_a_form_is_stored_under_its_key(
    laboratory: Laboratory, form: tuple[str, dict[str, str]]
) -> None:
    address, fields = form
    names = {name.upper(): value for name, value in fields.items()}

    for written in (fields, names, {name.title(): value for name, value in fields.items()}):
        laboratory.s3.delete_object(Bucket="photos", Key="faces/ada/1.jpg")
        assert send(address, [*parts_of(written), FILE]).status_code == 204
        assert contents(laboratory) == {SOMEBODYS: b"eve", "faces/ada/1.jpg": b"ada"}


@pytest.mark.parametrize(
    ("parts", "end", "message"),
    [
        ([], b"--X--\r\n", "exactly one file"),
        ([FILE, FILE], b"--X--\r\n", "exactly one file"),
        ([FILE], b"", "not well-formed"),
        ([FILE], b"--X", "not well-formed"),
        ([FILE], b"--Y--\r\n", "not well-formed"),
    ],
)
def test_a_form_without_its_file_or_its_end_is_refused(
    laboratory: Laboratory,
    form: tuple[str, dict[str, str]],
    parts: list[tuple[str, str, bytes]],
    end: bytes,
    message: str,
) -> None:
    address, fields = form
    answer = send(address, [*parts_of(fields), *parts], end)

    assert (answer.status_code, message in answer.text) == (400, True), answer.text
    assert contents(laboratory) == {SOMEBODYS: b"eve"}


def contents(laboratory: Laboratory) -> dict[str, bytes]:
    """Return the objects of the bucket, by key."""
    listed = laboratory.s3.list_objects_v2(Bucket="photos")["Contents"]
    get = laboratory.s3.get_object
    return {o["Key"]: get(Bucket="photos", Key=o["Key"])["Body"].read() for o in listed}
