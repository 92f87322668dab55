"""Only callers with a key are answered, except where AWS answers anybody."""

from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from control import control
from laboratory import Laboratory, error_of
from localaws.credentials import AccessKey

TARGET = "X-Amz-Target"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
IDENTITY = "Action=AssumeRoleWithWebIdentity&RoleArn=x&RoleSessionName=x&WebIdentityToken=x"
SIGN_IN = "AWSCognitoIdentityProviderService."


def send(laboratory: Laboratory, method: str, path: str, **options: Any) -> requests.Response:
    return requests.request(method, f"{laboratory.aws.url}{path}", timeout=30, **options)


def exchange(method: str, address: str) -> tuple[int, bytes]:
    """Send a request as it stands; the requests library would shorten the path."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.netloc, timeout=30)
    connection.request(method, f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def session(key: AccessKey) -> boto3.Session:
    return boto3.Session(key.access_key_id, key.secret_access_key, region_name="us-east-1")


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/", {}),
        ("GET", "/bucket", {}),
        ("GET", "/bucket/key", {}),
        ("PUT", "/bucket/key", {"data": b"changed"}),
        ("DELETE", "/bucket/key", {}),
        ("POST", "/bucket?delete", {"data": "<Delete/>"}),
        ("POST", "/bucket", {"files": {"file": b"", "key": b"key"}}),
        ("POST", "/bucket/key?uploads", {}),
        ("POST", "/bucket?X-Amz-Signature=1&X-Amz-Credential=x", {}),
        ("GET", "/bucket/key?AWSAccessKeyId=local&Signature=x&Expires=9999999999", {}),
        ("POST", "/moto-api/reset", {}),
        ("POST", "/moto-api/recorder/start-recording", {}),
        ("GET", "/moto-api/data.json", {}),
        ("GET", "/latest/meta-data/iam/security-credentials/", {}),
        ("POST", "/2015-03-31/functions", {"json": {}}),
        ("GET", "/restapis", {}),
        ("GET", "/lambda_us-east-1/2015-03-31/functions", {}),
        ("OPTIONS", "/lambda_us-east-1/2015-03-31/functions", {}),
        ("POST", "/", {"headers": {TARGET: "DynamoDB_20120810.ListTables"}, "data": "{}"}),
        ("POST", "/", {"headers": {TARGET: "AmazonSQS.ListQueues"}, "data": "{}"}),
        ("POST", "/", {"headers": {TARGET: "RekognitionService.ListCollections"}, "data": "{}"}),
        ("POST", "/", {"headers": {TARGET: f"{SIGN_IN}ListUserPools"}, "data": "{}"}),
        ("POST", "/x", {"headers": {TARGET: f"{SIGN_IN}InitiateAuth"}, "data": "{}"}),
        ("POST", "/", {"headers": FORM, "data": IDENTITY}),
        ("POST", "/bucket", {"headers": FORM, "data": IDENTITY}),
        ("GET", "/_localaws/permissions", {}),
        ("POST", "/_localaws/faults", {"json": []}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_requests_without_a_signature_are_refused(
    laboratory: Laboratory, method: str, path: str, options: dict[str, Any]
) -> None:
    laboratory.s3.create_bucket(Bucket="bucket")
    laboratory.s3.put_object(Bucket="bucket", Key="key", Body=b"body")

    answer = send(laboratory, method, path, **options)

    assert answer.status_code in (400, 403, 404), answer.text
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert laboratory.s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"body"


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("s3", "list_buckets", "SignatureDoesNotMatch"),
        ("dynamodb", "list_tables", "InvalidSignatureException"),
        ("lambda", "list_functions", "InvalidSignatureException"),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
        ("rekognition", "list_collections", "InvalidSignatureException"),
    ],
)
def test_another_secret_is_refused(
    laboratory: Laboratory, service: str, call: str, code: str
) -> None:
    client: Any = session(AccessKey.new()).client(
        service,  # type: ignore[call-overload]
        endpoint_url=laboratory.aws.url,
    )

    assert error_of(getattr(client, call))[1] == code


def test_another_key_is_refused(laboratory: Laboratory) -> None:
    s3 = session(AccessKey("AKIA", "x" * 40)).client("s3", endpoint_url=laboratory.aws.url)

    assert error_of(s3.list_buckets)[1] == "InvalidAccessKeyId"


@pytest.mark.parametrize(
    "key", ["a b+c", "ä/ö", "a//b", "../x", "a%2Fb", "~-_.!*'()", "=&?#:;@,$", "faces/ada/1.jpg"]
)
def test_keys_of_all_kinds_can_be_signed(laboratory: Laboratory, key: str) -> None:
    where = {"Bucket": "bucket", "Key": key}
    laboratory.s3.create_bucket(Bucket="bucket")
    laboratory.s3.put_object(**where, Body=b"body", Metadata={"a_b": "c  d"})
    address = laboratory.s3.generate_presigned_url("get_object", Params=where)

    assert laboratory.s3.get_object(**where)["Body"].read() == b"body"
    assert exchange("GET", address) == (200, b"body")
    later = address.replace("X-Amz-Expires=3600", "X-Amz-Expires=3601")
    assert exchange("GET", later)[0] == exchange("DELETE", address)[0] == 403


def test_a_signature_counts_for_15_minutes_only(laboratory: Laboratory) -> None:
    own = laboratory.aws.access_key
    for minutes, status in ((-14, 200), (14, 200), (-16, 403), (16, 403)):
        request = AWSRequest("GET", f"{laboratory.aws.url}/", headers={})
        request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
        when = datetime.now(UTC) + timedelta(minutes=minutes)
        request.context["timestamp"] = when.strftime("%Y%m%dT%H%M%SZ")
        request.headers["X-Amz-Date"] = request.context["timestamp"]
        keys = Credentials(own.access_key_id, own.secret_access_key)
        signer = SigV4Auth(keys, "s3", "us-east-1")
        to_sign = signer.string_to_sign(request, signer.canonical_request(request))
        signer._inject_signature_to_request(request, signer.signature(to_sign, request))

        answer = send(laboratory, "GET", "/", headers=dict(request.headers))

        assert answer.status_code == status, answer.text


def test_a_header_that_changes_the_meaning_must_be_signed(laboratory: Laboratory) -> None:
    laboratory.s3.create_bucket(Bucket="bucket")
    laboratory.s3.put_object(Bucket="bucket", Key="secret", Body=b"body")
    params = {"Bucket": "bucket", "Key": "mine"}
    address = laboratory.s3.generate_presigned_url("put_object", Params=params)
    copy = {"x-amz-copy-source": "/bucket/secret"}

    assert requests.put(address, headers=copy, timeout=30).status_code == 403
    assert requests.put(address, timeout=30).status_code == 200


def test_the_session_of_a_role_may_not_use_the_control_api(laboratory: Laboratory) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    keys = laboratory.session(everything)
    of_role = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])

    control(session(laboratory.aws.access_key), laboratory.aws.url, "permissions")
    with pytest.raises(AssertionError, match="The session of a role"):
        control(of_role, laboratory.aws.url, "permissions")


def test_people_can_sign_in_without_a_key(laboratory: Laboratory) -> None:
    headers = {TARGET: f"{SIGN_IN}InitiateAuth", "Content-Type": "application/x-amz-json-1.1"}
    body = {"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": "x", "AuthParameters": {}}

    answer = send(laboratory, "POST", "/", headers=headers, json=body)

    assert "ResourceNotFoundException" in answer.text
