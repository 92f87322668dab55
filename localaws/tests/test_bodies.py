"""A body counts only if it is whole, and what it was announced to be."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import zlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from anycrc import Model
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from control import control
from laboratory import Laboratory, error_of
from localaws import connections

GOOD, EVIL = b"the good photograph", b"the evil photograph"
BUCKET = "bodies"
UNSIGNED = "UNSIGNED-PAYLOAD"


@pytest.fixture
def url(laboratory: Laboratory) -> str:
    """The address of an object with the content ``GOOD``."""
    laboratory.s3.create_bucket(Bucket=BUCKET)
    laboratory.s3.put_object(Bucket=BUCKET, Key="key", Body=GOOD)
    return f"{laboratory.aws.url}/{BUCKET}/key"


def stored(laboratory: Laboratory) -> bytes:
    content: bytes = laboratory.s3.get_object(Bucket=BUCKET, Key="key")["Body"].read()
    return content


def signed(
    laboratory: Laboratory, method: str, url: str, digest: str = UNSIGNED, **headers: str
) -> dict[str, str]:
    """Return the headers of a signed request to S3; their names have underscores here."""
    request = AWSRequest(method, url, {n.replace("_", "-"): v for n, v in headers.items()})
    request.headers["X-Amz-Content-SHA256"] = digest
    key = laboratory.aws.access_key
    credentials = Credentials(key.access_key_id, key.secret_access_key)
    SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    return dict(request.headers)


def put(
    laboratory: Laboratory, url: str, body: bytes, digest: str = UNSIGNED, **headers: str
) -> requests.Response:
    headers = signed(laboratory, "PUT", url, digest, **headers)
    return requests.put(url, data=body, headers=headers, timeout=30)


def code(answer: requests.Response) -> str:
    return answer.text.partition("<Code>")[2].partition("</Code>")[0]


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


CHECKSUMS = {
    "content_md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "x_amz_checksum_crc32": lambda body: zlib.crc32(body).to_bytes(4),
    "x_amz_checksum_crc32c": lambda body: Model("CRC32-ISCSI").calc(body).to_bytes(4),
    "x_amz_checksum_crc64nvme": lambda body: Model("CRC64-NVME").calc(body).to_bytes(8),
    "x_amz_checksum_sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "x_amz_checksum_sha256": lambda body: hashlib.sha256(body).digest(),
}


@pytest.mark.parametrize("header", CHECKSUMS)
def test_a_checksum_must_be_that_of_the_body(laboratory: Laboratory, url: str, header: str) -> None:
    of_good = b64(CHECKSUMS[header](GOOD))

    assert code(put(laboratory, url, EVIL, **{header: of_good})) == "BadDigest"
    invalid = "InvalidDigest" if header == "content_md5" else "InvalidRequest"
    for nonsense in ("x", "", b64(b"short"), "é"):
        refused = put(laboratory, url, EVIL, **{header: nonsense})
        assert code(refused) == invalid or refused.status_code == 403, nonsense
    assert stored(laboratory) == GOOD
    assert put(laboratory, url, GOOD + b"!", **{header: b64(CHECKSUMS[header](GOOD + b"!"))}).ok
    assert stored(laboratory) == GOOD + b"!"


def test_the_digest_of_the_signature_must_be_that_of_the_body(
    laboratory: Laboratory, url: str
) -> None:
    digest = hashlib.sha256(GOOD).hexdigest()

    assert code(put(laboratory, url, EVIL, digest)) == "XAmzContentSHA256Mismatch"
    assert stored(laboratory) == GOOD


def test_an_unknown_checksum_is_refused(laboratory: Laboratory, url: str) -> None:
    assert code(put(laboratory, url, EVIL, x_amz_checksum_md4="AAAA")) == "InvalidRequest"
    assert stored(laboratory) == GOOD


def test_parts_are_checked_as_objects_are(laboratory: Laboratory, url: str) -> None:
    upload: dict[str, Any] = {"Bucket": BUCKET, "Key": "key"}
    upload["UploadId"] = laboratory.s3.create_multipart_upload(**upload)["UploadId"]
    md5 = b64(hashlib.md5(GOOD, usedforsecurity=False).digest())
    wrong = error_of(laboratory.s3.upload_part, **upload, PartNumber=1, Body=EVIL, ContentMD5=md5)
    part = laboratory.s3.upload_part(**upload, PartNumber=1, Body=EVIL)

    assert wrong[1] == "BadDigest"
    for parts, expected in (
        ([], "MalformedXML"),
        ([{"PartNumber": 1, "ETag": '"0123"'}], "InvalidPart"),
        ([{"PartNumber": 2, "ETag": part["ETag"]}], "InvalidPart"),
        ([{"PartNumber": 1, "ETag": part["ETag"]}] * 2, "InvalidPartOrder"),
        ([{"PartNumber": n, "ETag": part["ETag"]} for n in (2, 1)], "InvalidPartOrder"),
    ):
        chosen = {"Parts": parts}
        refused = error_of(
            laboratory.s3.complete_multipart_upload, **upload, MultipartUpload=chosen
        )
        assert refused[1] == expected
    assert stored(laboratory) == GOOD
    chosen = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    laboratory.s3.complete_multipart_upload(**upload, MultipartUpload=chosen)
    assert stored(laboratory) == EVIL


def test_deletions_of_several_objects_need_a_digest(laboratory: Laboratory, url: str) -> None:
    address = f"{laboratory.aws.url}/{BUCKET}?delete="
    body = b"<Delete><Object><Key>key</Key></Object></Delete>"
    for headers in ({}, {"content_md5": b64(hashlib.md5(EVIL).digest())}):
        names = signed(laboratory, "POST", address, **headers)
        assert not requests.post(address, data=body, headers=names, timeout=30).ok
    assert stored(laboratory) == GOOD


# --- AWS's own chunks ---


def chunked(
    chunks: Iterable[bytes],
    trailers: dict[str, str] | None = None,
    sign: Any = lambda *_: "",
) -> bytes:
    framed = b""
    for chunk in (*chunks, b""):
        framed += b"%x%s\r\n%s\r\n" % (len(chunk), sign("PAYLOAD", chunk).encode(), chunk)
    framed = framed[:-2]
    for name, value in (trailers or {}).items():
        framed += f"{name}:{value}\r\n".encode()
    return framed + b"\r\n"


def put_chunked(
    laboratory: Laboratory,
    url: str,
    body: bytes,
    length: int | None,
    trailer: str = "x-amz-checksum-crc32",
) -> requests.Response:
    headers = {} if length is None else {"x_amz_decoded_content_length": str(length)}
    if trailer:
        headers["x_amz_trailer"] = trailer
    kind = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    return put(laboratory, url, body, kind, content_encoding="aws-chunked", **headers)


def test_a_stream_with_a_trailing_checksum_is_stored(laboratory: Laboratory, url: str) -> None:
    trailer = {"x-amz-checksum-crc32": b64(zlib.crc32(EVIL).to_bytes(4))}

    assert put_chunked(laboratory, url, chunked([EVIL[:5], EVIL[5:]], trailer), len(EVIL)).ok
    assert stored(laboratory) == EVIL
    head = laboratory.s3.head_object(Bucket=BUCKET, Key="key", ChecksumMode="ENABLED")
    assert head["ChecksumCRC32"] == trailer["x-amz-checksum-crc32"]
    assert "aws-chunked" not in head.get("ContentEncoding", "")


WHOLE = chunked([EVIL], {"x-amz-checksum-crc32": b64(zlib.crc32(EVIL).to_bytes(4))})


@pytest.mark.parametrize(
    "case",
    [
        (WHOLE[:10], 19, "x-amz-checksum-crc32", "IncompleteBody"),
        (WHOLE[:-40], 19, "x-amz-checksum-crc32", "IncompleteBody"),
        (WHOLE[len(b"13\r\n") :], 19, "x-amz-checksum-crc32", "IncompleteBody"),
        (b"ffffffffffffffffff\r\n" + EVIL, 19, "", "IncompleteBody"),
        (b"-1\r\n" + EVIL, 19, "", "IncompleteBody"),
        (b"1_3\r\n" + EVIL, 19, "", "IncompleteBody"),
        (WHOLE, 18, "x-amz-checksum-crc32", "IncompleteBody"),
        (WHOLE, 20, "x-amz-checksum-crc32", "IncompleteBody"),
        (WHOLE, None, "x-amz-checksum-crc32", "MissingContentLength"),
        (WHOLE, 19, "", "MalformedTrailerError"),
        (WHOLE, 19, "x-amz-checksum-sha1", "MalformedTrailerError"),
        (chunked([EVIL]), 19, "x-amz-checksum-crc32", "MalformedTrailerError"),
        (WHOLE + b"more", 19, "x-amz-checksum-crc32", "MalformedTrailerError"),
        (WHOLE.replace(b"evil", b"good"), 19, "x-amz-checksum-crc32", "BadDigest"),
    ],
)
def test_a_stream_that_is_not_what_was_announced_is_refused(
    laboratory: Laboratory, url: str, case: tuple[bytes, int | None, str, str]
) -> None:
    body, length, trailer, expected = case
    assert code(put_chunked(laboratory, url, body, length, trailer)) == expected
    assert stored(laboratory) == GOOD


def test_the_chunks_of_a_signed_stream_are_checked(laboratory: Laboratory, url: str) -> None:
    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    trailer = {"x-amz-checksum-crc32": b64(zlib.crc32(EVIL).to_bytes(4))}
    headers = signed(
        laboratory,
        "PUT",
        url,
        kind,
        content_encoding="aws-chunked",
        x_amz_decoded_content_length=str(len(EVIL)),
        x_amz_trailer="x-amz-checksum-crc32",
    )
    signature = _Signature(laboratory, headers)
    body = chunked(
        [EVIL[:7], EVIL[7:]], trailer, lambda k, c: f";chunk-signature={signature(k, c)}"
    )
    canonical = "".join(f"{name}:{value}\n" for name, value in trailer.items()).encode()
    whole = (
        body[:-2] + f"x-amz-trailer-signature:{signature('TRAILER', canonical)}\r\n\r\n".encode()
    )

    for wrong in (
        body,
        whole.replace(b"evi", b"goo"),
        whole.replace(b";chunk-signature=", b";chunk-signature=0", 1),
        chunked([EVIL], trailer),
        whole.replace(b"x-amz-checksum-crc32:", b"x-amz-checksum-crc32:A"),
    ):
        refused = requests.put(url, data=wrong, headers=headers, timeout=30)
        assert code(refused) in ("SignatureDoesNotMatch", "IncompleteBody")
        assert stored(laboratory) == GOOD
    assert requests.put(url, data=whole, headers=headers, timeout=30).ok
    assert stored(laboratory) == EVIL


class _Signature:
    """Signs the parts of a stream, each after the one before."""

    def __init__(self, laboratory: Laboratory, headers: dict[str, str]) -> None:
        self._time = headers["X-Amz-Date"]
        self._scope = f"{self._time[:8]}/us-east-1/s3/aws4_request"
        self._previous = headers["Authorization"].rpartition("Signature=")[2]
        self._key = f"AWS4{laboratory.aws.access_key.secret_access_key}".encode()
        for part in self._scope.split("/"):
            self._key = hmac.digest(self._key, part.encode(), "sha256")

    def of_chunk(self, kind: str, content: bytes) -> str:
        return f";chunk-signature={self(kind, content)}"

    def __call__(self, kind: str, content: bytes) -> str:
        parts = [f"AWS4-HMAC-SHA256-{kind}", self._time, self._scope, self._previous]
        if kind == "PAYLOAD":
            parts.append(hashlib.sha256(b"").hexdigest())
        to_sign = "\n".join([*parts, hashlib.sha256(content).hexdigest()])
        self._previous = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        return self._previous


# --- framing ---


def exchange(url: str, head: str, body: bytes, *, is_ended: bool = True) -> bytes:
    """Send a request, and return all that the server answers until it closes the connection."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname or "", where.port or 0), 30) as stream:
        stream.sendall(f"{head}\r\nHost: {where.netloc}\r\n\r\n".encode() + body)
        if is_ended:
            stream.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := stream.recv(65536):
            answer += piece
    return answer


HIDDEN = b"PUT /bodies/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ("Content-Length: 100", EVIL),
        ("Content-Length: abc", EVIL),
        ("Content-Length: -1", EVIL),
        ("Content-Length: +19", EVIL),
        ("Content-Length: 1e3", EVIL),
        ("Content-Length: 0x13", EVIL),
        ("Content-Length: 1_9", EVIL),
        ("Content-Length: 19, 19", EVIL),
        ("Content-Length: 18446744073709551616", EVIL),
        ("Content-Length: 19\r\nTransfer-Encoding: chunked", b"13\r\n" + EVIL + b"\r\n0\r\n\r\n"),
        ("Transfer-Encoding: gzip, chunked", b"13\r\n" + EVIL + b"\r\n0\r\n\r\n"),
        ("Transfer-Encoding: xchunked", b"13\r\n" + EVIL + b"\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"13\r\n" + EVIL + b"\r\n"),
        ("Transfer-Encoding: chunked", b"13\r\n" + EVIL[:5]),
        ("Transfer-Encoding: chunked", b"13\r\n" + EVIL + b"xx0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"10000000000000000\r\n" + EVIL),
        ("Transfer-Encoding: chunked", b"fffffffffffffff\r\n" + EVIL),
        ("Transfer-Encoding: chunked", b"-13\r\n" + EVIL + b"\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"1_3\r\n" + EVIL + b"\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"0x13\r\n" + EVIL + b"\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b" 13\r\n" + EVIL + b"\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"13;" + b"x" * 5000 + b"\r\n" + EVIL + b"\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"13\r\n" + EVIL + b"\r\n0\r\nX: " + b"x" * 99_999),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_body_without_a_clear_end_is_refused(
    laboratory: Laboratory, url: str, framing: str, body: bytes
) -> None:
    headers = signed(laboratory, "PUT", url)
    lines = "".join(f"\r\n{name}: {value}" for name, value in headers.items())

    answer = exchange(url, f"PUT /bodies/key HTTP/1.1\r\n{framing}{lines}", body)

    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert stored(laboratory) == GOOD


@pytest.mark.parametrize("framing", ["Content-Length: 19", "Transfer-Encoding: chunked"])
def test_nothing_behind_a_body_is_another_request(
    laboratory: Laboratory, url: str, framing: str
) -> None:
    headers = signed(laboratory, "PUT", url)
    lines = "".join(f"\r\n{name}: {value}" for name, value in headers.items())
    is_chunked = framing.endswith("chunked")
    body = b"13\r\n" + EVIL + b"\r\n0\r\n\r\n" if is_chunked else EVIL

    answer = exchange(url, f"PUT /bodies/key HTTP/1.1\r\n{framing}{lines}", body + HIDDEN)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 200")
    assert stored(laboratory) == EVIL


def test_a_large_body_is_refused_before_it_is_read(laboratory: Laboratory, url: str) -> None:
    headers = signed(laboratory, "PUT", url)
    lines = "".join(f"\r\n{name}: {value}" for name, value in headers.items())
    head = f"PUT /bodies/key HTTP/1.1\r\nContent-Length: 5368709120{lines}"

    assert b"<Code>EntityTooLarge</Code>" in exchange(url, head, b"", is_ended=False)
    assert stored(laboratory) == GOOD


def test_all_bodies_together_have_a_limit(
    laboratory: Laboratory, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = _Room(250_000)
    monkeypatch.setattr(connections, "_room", room)

    refused = put(laboratory, url, bytes(300_000))

    assert (refused.status_code, code(refused)) == (503, "SlowDown")
    for _ in range(5):
        assert room.given_back.acquire(timeout=30)
        assert put(laboratory, url, bytes(200_000)).ok


class _Room(connections._Room):
    """Tells when the room of a body is free again, which is after its answer."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.given_back = threading.Semaphore(0)

    def give_back(self, count: int) -> None:
        super().give_back(count)
        if count > len(GOOD):  # the fixture's body may be in use until now
            self.given_back.release()


# --- bodies that cannot be read ---

DEEP = 200_000
HOSTILE_JSON = {
    "deep arrays": "[" * DEEP + "]" * DEEP,
    "deep objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "unfinished": "{",
    "a list": "[]",
    "text": '"text"',
    "not a number": '{"Limit": NaN}',
    "infinity": '{"Limit": -Infinity}',
    "a long integer": f'{{"Limit": {"9" * 5000}}}',
    "a lone surrogate": r'{"TableName": "\ud800"}',
}


@pytest.mark.parametrize("target", ["DynamoDB_20120810.ListTables", "AmazonSQS.ListQueues"])
@pytest.mark.parametrize("body", HOSTILE_JSON.values(), ids=HOSTILE_JSON.keys())
def test_hostile_json_is_refused(laboratory: Laboratory, target: str, body: str) -> None:
    service = "dynamodb" if target.startswith("Dynamo") else "sqs"
    answer = call(laboratory, service, target, body.encode())

    assert answer.status_code == 400, answer.text[:200]
    assert "SerializationException" in answer.text


def test_bytes_that_are_no_text_are_refused(laboratory: Laboratory) -> None:
    for body in (b'{"a": "\xff"}', "{}".encode("utf-16"), b"\xef\xbb\xbf[]"):
        answer = call(laboratory, "dynamodb", "DynamoDB_20120810.ListTables", body)
        assert answer.status_code == 400, answer.text[:200]


def call(laboratory: Laboratory, service: str, target: str, body: bytes) -> requests.Response:
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
    return post(laboratory, service, "/", body, headers)


def post(
    laboratory: Laboratory, service: str, path: str, body: bytes, headers: dict[str, str]
) -> requests.Response:
    request = AWSRequest("POST", f"{laboratory.aws.url}{path}", headers, body)
    key = laboratory.aws.access_key
    credentials = Credentials(key.access_key_id, key.secret_access_key)
    SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    return requests.post(str(request.url), data=body, headers=dict(request.headers), timeout=60)


@pytest.mark.parametrize("body", list(HOSTILE_JSON.values())[:3], ids=list(HOSTILE_JSON)[:3])
def test_the_control_api_refuses_hostile_json(laboratory: Laboratory, body: str) -> None:
    with pytest.raises(AssertionError, match=r"JSON|recursion|truncated|Expected"):
        control(_session(laboratory), laboratory.aws.url, "faults", "POST", body)
    assert control(_session(laboratory), laboratory.aws.url, "faults")["scripted"] == []


def _session(laboratory: Laboratory) -> Any:
    key = laboratory.aws.access_key
    return boto3.Session(key.access_key_id, key.secret_access_key, region_name="us-east-1")


BOMB = "<!DOCTYPE a [<!ENTITY a '1'>" + "".join(
    f"<!ENTITY {new} '{f'&{old};' * 10}'>" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE_XML = {
    "entities": f"{BOMB}]><Delete><Object><Key>&i;</Key></Object></Delete>",
    "external": "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><Delete/>",
    "deep": "<a>" * DEEP + "</a>" * DEEP,
    "unfinished": "<Delete><Object>",
    "json": "{}",
    "an unknown encoding": "<?xml version='1.0' encoding='none'?><Delete/>",
}


@pytest.mark.parametrize("body", HOSTILE_XML.values(), ids=HOSTILE_XML.keys())
@pytest.mark.parametrize(
    "query", ["delete=", "versioning=", "notification=", "lifecycle=", "cors="]
)
def test_hostile_xml_is_refused(laboratory: Laboratory, url: str, body: str, query: str) -> None:
    address = f"{laboratory.aws.url}/{BUCKET}?{query}"
    md5 = b64(hashlib.md5(body.encode(), usedforsecurity=False).digest())
    method = "POST" if query == "delete=" else "PUT"
    headers = signed(laboratory, method, address, content_md5=md5)

    answer = requests.request(method, address, data=body, headers=headers, timeout=60)

    assert (answer.status_code, code(answer)) == (400, "MalformedXML")
    assert stored(laboratory) == GOOD


def test_a_template_with_aliases_is_refused(laboratory: Laboratory) -> None:
    lists = "\n".join(
        f"  {new}: &{new} [{', '.join([f'*{old}'] * 10)}]"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for template in (f"Metadata:\n  a: &a x\n{lists}\nResources: {{}}", "[" * 20_000):
        cloudformation = laboratory.client("cloudformation")
        names = {"ChangeSetName": "bomb", "ChangeSetType": "CREATE"}
        refused = error_of(
            cloudformation.create_change_set, StackName="bomb", **names, TemplateBody=template
        )
        assert refused[1] == "ValidationError"


def test_what_only_looks_hostile_is_read(laboratory: Laboratory) -> None:
    body = json.dumps({"ExclusiveStartTableName": "a😀b\\ud800"}).encode()
    answer = call(laboratory, "dynamodb", "DynamoDB_20120810.ListTables", body)

    assert answer.status_code != 500
    assert "SerializationException" not in answer.text


@pytest.mark.parametrize(
    ("service", "target", "body"),
    [
        ("dynamodb", "DynamoDB_20120810.PutItem", {"TableName": "t", "Item": {"id": {"X": "1"}}}),
        ("dynamodb", "DynamoDB_20120810.PutItem", {"TableName": "t", "Item": {"id": []}}),
        ("dynamodb", "DynamoDB_20120810.GetItem", {"TableName": "t", "Key": {"id": {"1e400": ""}}}),
        ("dynamodb", "DynamoDB_20120810.Scan", {}),
        ("dynamodb", "DynamoDB_20120810.Scam", {}),
        ("sqs", "AmazonSQS.CreateQueue", {}),
        ("sqs", "AmazonSQS.ListQueue\u00e9", {}),
    ],
    ids=str,
)
def test_requests_that_moto_fails_on_are_refused(
    laboratory: Laboratory, service: str, target: str, body: Any
) -> None:
    laboratory.client("dynamodb").create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )

    answer = call(laboratory, service, target, json.dumps(body).encode())

    assert answer.status_code == 400, answer.text[:200]
    assert "__type" in answer.json()


@pytest.mark.parametrize(
    ("service", "path", "body"),
    [
        ("apigateway", "/restapis", b'{"paths": {"/a": {"get": {}}}}'),
        ("apigateway", "/restapis", b'{"openapi": "3.0.1", "paths": {"/a": {"get": 1}}}'),
        ("apigateway", "/restapis", b'{"openapi": 3, "inf""o": {}}'),
        ("apigateway", "/apikeys", b"[" * DEEP),
        ("lambda", "/2015-03-31/functions/f/invocations", b"[" * DEEP),
    ],
    ids=str,
)
def test_documents_that_moto_fails_on_are_refused(
    laboratory: Laboratory, service: str, path: str, body: bytes
) -> None:
    laboratory.aws.functions.add({"f": lambda event, _: None})

    answer = post(laboratory, service, path, body, {"Content-Type": "application/json"})

    assert answer.status_code == 400, answer.text[:200]


def test_tags_without_a_document_are_refused(laboratory: Laboratory, url: str) -> None:
    assert put(laboratory, f"{url}?tagging=", b"").status_code == 400


def test_a_call_that_moto_lacks_is_not_implemented(laboratory: Laboratory) -> None:
    answer = call(laboratory, "events", "AWSEvents.CreateEndpoint", b"{}")

    assert answer.status_code == 501


def test_a_part_of_an_unknown_upload_is_refused(laboratory: Laboratory, url: str) -> None:
    upload = {"Bucket": BUCKET, "Key": "key", "UploadId": "unknown"}
    parts = {"Parts": [{"PartNumber": 1, "ETag": "1"}]}

    for call_, options in (
        (laboratory.s3.upload_part, {"PartNumber": 1, "Body": b"x"}),
        (laboratory.s3.complete_multipart_upload, {"MultipartUpload": parts}),
    ):
        assert error_of(call_, **upload, **options)[:2] == (404, "NoSuchUpload")
