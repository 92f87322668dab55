"""What anybody may send is exactly what AWS's documentation shows: it opens nothing else."""

import json
from datetime import timedelta
from typing import Any

import boto3
import moto.backends
import pytest
import requests
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from laboratory import LOGS, Laboratory, error_of
from localaws.account import ACCOUNT_ID, REGION

SIGN_IN = "AWSCognitoIdentityProviderService."
JSON = {"Content-Type": "application/x-amz-json-1.1"}
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
INVOKE = "/2015-03-31/functions/not-deployed/invocations"


def send(laboratory: Laboratory, method: str, path: str, **options: Any) -> requests.Response:
    return requests.request(method, f"{laboratory.aws.url}{path}", timeout=30, **options)


@pytest.fixture
def invoked(laboratory: Laboratory) -> list[Any]:
    """The events that the function ``not-deployed`` has got."""
    events: list[Any] = []
    laboratory.aws.functions.add({"not-deployed": lambda event, _: events.append(event)})
    return events


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
def test_a_preflight_invokes_no_function(
    laboratory: Laboratory, invoked: list[Any], method: str
) -> None:
    preflight = {"Origin": laboratory.aws.url, "Access-Control-Request-Method": "POST"}
    for headers in ({}, preflight):
        assert send(laboratory, method, INVOKE, data="{}", headers=headers).status_code == 403

    assert invoked == []


def test_an_upload_to_s3_invokes_no_function(laboratory: Laboratory, invoked: list[Any]) -> None:
    uploads = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
    s3 = laboratory.client("s3", laboratory.session(uploads))

    error_of(
        s3.put_object, Bucket="2015-03-31", Key="functions/not-deployed/invocations", Body=b"{}"
    )

    assert invoked == []


def test_a_signed_form_deletes_nothing(laboratory: Laboratory) -> None:
    s3 = laboratory.s3
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="kept", Body=b"1")
    form = s3.generate_presigned_post(Bucket="bucket", Key="upload")
    file = b"<Delete><Object><Key>kept</Key></Object></Delete>"

    answer = requests.post(
        f"{form['url']}?delete", data=form["fields"], files={"file": file}, timeout=30
    )

    assert answer.status_code == 403
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="bucket")["Contents"]] == ["kept"]


def test_signing_up_makes_nobody_an_administrator(laboratory: Laboratory) -> None:
    cognito = laboratory.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="pool")["UserPool"]["Id"]
    wanted = f"Action=AdminCreateUser&UserPoolId={pool}&Username=eve"
    sign_up = {"X-Amz-Target": f"{SIGN_IN}SignUp"}
    text = json.dumps({"ClientId": "x", "Username": "x", "Password": f"&{wanted}&x="})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for path, headers, body in (
        (f"/?{wanted}", JSON, "{}"),
        ("/", JSON, text),
        ("/", form, wanted),
        ("/", {}, wanted),
    ):
        answer = send(laboratory, "POST", path, headers={**headers, **sign_up}, data=body)
        assert answer.status_code >= 400

    assert cognito.list_users(UserPoolId=pool)["Users"] == []


def test_people_sign_up_and_in_without_a_key(laboratory: Laboratory) -> None:
    cognito = laboratory.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="pool")["UserPool"]["Id"]
    flows = ["ALLOW_USER_PASSWORD_AUTH"]
    made = cognito.create_user_pool_client(UserPoolId=pool, ClientName="c", ExplicitAuthFlows=flows)
    client, person = made["UserPoolClient"]["ClientId"], ("ada", "Secret-1234")

    cognito.sign_up(ClientId=client, Username=person[0], Password=person[1])
    cognito.admin_confirm_sign_up(UserPoolId=pool, Username=person[0])
    signed_in = cognito.initiate_auth(
        ClientId=client,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters=dict(zip(("USERNAME", "PASSWORD"), person, strict=True)),
    )
    keys = send(laboratory, "GET", f"/{pool}/.well-known/jwks.json").json()["keys"]

    assert signed_in["AuthenticationResult"]["IdToken"]
    assert [key["kty"] for key in keys] == ["RSA"]


def test_the_text_of_a_log_line_names_no_operation(laboratory: Laboratory) -> None:
    logs = laboratory.client("logs")
    group = {"logGroupName": "/aws/lambda/f"}
    logs.create_log_group(**group)
    logs.create_log_stream(**group, logStreamName="s")
    writer = laboratory.client("logs", laboratory.session(LOGS))
    line = "x&Action=DeleteLogGroup&logGroupName=/aws/lambda/f&y="

    writer.put_log_events(**group, logStreamName="s", logEvents=[{"timestamp": 1, "message": line}])

    assert [g["logGroupName"] for g in logs.describe_log_groups()["logGroups"]] == [
        group["logGroupName"]
    ]


def test_asking_for_an_identity_assumes_no_role(laboratory: Laboratory) -> None:
    laboratory.role(EVERYTHING, name="admin")
    sts = laboratory.client("sts", laboratory.session())

    assert sts.get_caller_identity()["Account"] == ACCOUNT_ID
    _, code, _ = error_of(
        sts.assume_role,
        RoleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/admin",
        RoleSessionName="Action=GetCallerIdentity",
    )
    assert code in ("AccessDenied", "ValidationError")
    request = {"Action": "AssumeRole", "x": "", "RoleArn": "x", "RoleSessionName": "x"}
    body = "&".join(f"{k}={v}" for k, v in request.items()) + "&Action=GetCallerIdentity"
    headers = signed(laboratory, laboratory.session(name="other"), body)
    assert "not evaluated here" in send(laboratory, "POST", "/", headers=headers, data=body).text


def signed(laboratory: Laboratory, session: Any, body: str) -> dict[str, str]:
    """Return the headers of a request to STS that the session of a role has signed."""
    keys = Credentials(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    request = AWSRequest("POST", f"{laboratory.aws.url}/", headers=form, data=body)
    SigV4Auth(keys, "sts", REGION).add_auth(request)
    return dict(request.headers)


def test_a_signature_for_one_service_reaches_no_other(laboratory: Laboratory) -> None:
    own = laboratory.aws.access_key
    keys = Credentials(own.access_key_id, own.secret_access_key)
    headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", **JSON}
    request = AWSRequest("POST", f"{laboratory.aws.url}/", headers=headers, data="{}")
    S3SigV4Auth(keys, "s3", REGION).add_auth(request)

    answer = send(laboratory, "POST", "/", headers=dict(request.headers), data="{}")

    assert (answer.status_code, answer.json()["__type"]) == (400, "InvalidSignatureException")


def test_a_presigned_address_reaches_its_service(laboratory: Laboratory) -> None:
    own = laboratory.aws.access_key
    keys = Credentials(own.access_key_id, own.secret_access_key)
    address = f"{laboratory.aws.url}/?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("GET", address)
    SigV4QueryAuth(keys, "sts", REGION).add_auth(request)

    assert ACCOUNT_ID in requests.get(request.url, timeout=30).text


def code_in(xml: str) -> str:
    """Return the code of an error in XML; empty if there is none."""
    return xml.partition("<Code>")[2].partition("</Code>")[0]


def test_an_inactive_key_is_refused(laboratory: Laboratory) -> None:
    laboratory.iam.create_user(UserName="ada")
    made = laboratory.iam.create_access_key(UserName="ada")["AccessKey"]
    key = {"UserName": "ada", "AccessKeyId": made["AccessKeyId"]}
    session = boto3.Session(made["AccessKeyId"], made["SecretAccessKey"], region_name=REGION)
    sqs: Any = session.client("sqs", endpoint_url=laboratory.aws.url)

    sqs.list_queues()
    laboratory.iam.update_access_key(**key, Status="Inactive")
    assert error_of(sqs.list_queues)[1] == "UnrecognizedClientException"

    laboratory.iam.delete_access_key(**key)
    laboratory.iam.delete_user(UserName="ada")


def test_an_expired_session_is_refused(laboratory: Laboratory) -> None:
    s3 = laboratory.client("s3", laboratory.session(EVERYTHING))
    laboratory.s3.create_bucket(Bucket="bucket")

    s3.list_objects_v2(Bucket="bucket")
    (session,) = moto.backends.get_backend("sts")[ACCOUNT_ID]["aws"].assumed_roles
    session.expiration -= timedelta(days=1)

    assert error_of(s3.list_objects_v2, Bucket="bucket")[1] == "ExpiredToken"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Authorization": ("AWS4-HMAC-SHA256 ", "AWS ")}, "InvalidRequest"),
        ({"Authorization": ("AWS4-HMAC-SHA256 ", "Bearer ")}, "AuthorizationHeaderMalformed"),
        (
            {"Authorization": (", SignedHeaders=", ",,SignedHeaders=")},
            "AuthorizationHeaderMalformed",
        ),
        ({"Authorization": ("/s3/", "/S3/")}, "IncompleteSignatureException"),
        ({"Authorization": ("/s3/", "/sqs/")}, "InvalidSignatureException"),
        ({"Authorization": ("/us-east-1/", "/eu-west-1/")}, "SignatureDoesNotMatch"),
        ({"Authorization": ("/20", "/19")}, "SignatureDoesNotMatch"),
        ({"Authorization": ("host;", "")}, "AccessDenied"),
        ({"X-Amz-Date": ("T", "T9")}, "SignatureDoesNotMatch"),
        ({"X-Amz-Content-SHA256": ("UNSIGNED-PAYLOAD", "anything")}, "InvalidRequest"),
        ({"X-Amz-Content-SHA256": ("UNSIGNED-PAYLOAD", "0" * 64)}, "SignatureDoesNotMatch"),
        ({"X-Amz-Acl": ("", "public-read")}, "AccessDenied"),
        ({"X-Amz-Security-Token": ("", "token")}, "InvalidToken"),
    ],
    ids=str,
)
def test_a_changed_signature_is_refused(
    laboratory: Laboratory, changes: dict[str, tuple[str, str]], code: str
) -> None:
    own = laboratory.aws.access_key
    request = AWSRequest("GET", f"{laboratory.aws.url}/?max-buckets=1&x=%FF")
    request.context["payload_signing_enabled"] = False
    signer = S3SigV4Auth(Credentials(own.access_key_id, own.secret_access_key), "s3", REGION)
    signer.payload = lambda _: "UNSIGNED-PAYLOAD"
    signer.add_auth(request)
    headers = dict(request.headers)
    assert requests.get(request.url, headers=headers, timeout=30).status_code == 200

    for name, (old, new) in changes.items():
        headers[name] = headers.get(name, "").replace(old, new, 1)

    answer = requests.get(request.url, headers=headers, timeout=30)
    assert answer.status_code in (400, 403)
    assert code in (answer.headers.get("x-amzn-ErrorType"), code_in(answer.text))
