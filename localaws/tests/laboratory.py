"""Small functions, buckets, queues and APIs on the embedded AWS, for single tests."""

import io
import json
import textwrap
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.config
import moto.backends
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from localaws.account import ACCOUNT_ID, REGION
from localaws.server import EmbeddedAWS

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
LOGS = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "arn:aws:logs:*:*:log-group:/aws/lambda/*",
}

ECHO = """
    import json
    def handler(event, context):
        return {"statusCode": 201, "body": json.dumps(event), "headers": {"X-One": "1"},
                "multiValueHeaders": {"X-Two": ["a", "b"]}}
"""
IAM = {
    "paths": {"/": {"post": {"security": [{"iam": []}]}}},
    "securityDefinitions": {
        "iam": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "awsSigv4",
        }
    },
}


class Laboratory:
    """Makes resources for a test, by short names."""

    def __init__(self, aws: EmbeddedAWS) -> None:
        self.aws = aws
        self._boto3: Any = boto3.Session()
        self.lambda_ = self.client("lambda")
        self.s3 = self.client("s3")
        self.iam = self.client("iam")

    def client(self, service: str, session: Any = None) -> Any:
        """Return a client that may do everything, or only as much as the session of a role."""
        own = self.aws.access_key
        keys: tuple[str, ...] = (own.access_key_id, own.secret_access_key)
        if session is not None:
            keys = (session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
        config = botocore.config.Config(
            retries={"total_max_attempts": 1}, user_agent_appid="test", signature_version="s3v4"
        )
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        return self._boto3.client(
            service,
            endpoint_url=self.aws.url,
            region_name=REGION,
            config=config if service == "s3" else config.merge(_V4),
            **dict(zip(names, keys, strict=False)),
        )

    def tables(self) -> Any:
        """Return DynamoDB as a boto3 resource, which takes Python's types for values."""
        return self._boto3.resource(
            "dynamodb",
            endpoint_url=self.aws.url,
            region_name=REGION,
            aws_access_key_id=self.aws.access_key.access_key_id,
            aws_secret_access_key=self.aws.access_key.secret_access_key,
        )

    def clear(self) -> None:
        """Delete everything that was made. A reset would read all of AWS's own policies again."""
        self.aws.functions.drain()
        self.aws.deployed.stop()
        for backend in ("lambda", "apigateway", "dynamodb", "logs", "sqs", "cognito-idp"):
            moto.backends.get_backend(backend)[ACCOUNT_ID][REGION].reset()
        moto.backends.get_backend("s3")[ACCOUNT_ID]["aws"].reset()
        moto.backends.get_backend("sts")[ACCOUNT_ID]["aws"].reset()
        moto.backends.get_backend("iam")[ACCOUNT_ID]["aws"].roles.clear()
        self.aws.stacks.clear()
        self.aws.permissions.asked.clear()

    def role(self, *statements: Any, name: str = "role") -> str:
        """Make a role with a policy of these statements, and return its ARN."""
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        if statements:
            self.iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=document)
        return str(role["Role"]["Arn"])

    def session(self, *statements: Any, name: str = "caller") -> Any:
        """Return temporary credentials of a role with a policy of these statements."""
        answer = self.client("sts").assume_role(
            RoleArn=self.role(*statements, name=name), RoleSessionName="session"
        )
        return answer["Credentials"]

    def function(self, source: str, *statements: Any, name: str = "f", **options: Any) -> str:
        """Make a function from the source of a module with ``handler``, and return its name."""
        self.lambda_.create_function(
            FunctionName=name,
            Role=self.role(LOGS, *statements, name=f"role-of-{name}"),
            Handler="code.handler",
            **{"Runtime": "python3.13", "Timeout": 20, **options},
            Code={"ZipFile": zipped(source)},
        )
        return name

    def call(self, function: str, event: Any = None) -> Any:
        """Invoke a function, and return its result or Lambda's error payload."""
        answer = self.lambda_.invoke(FunctionName=function, Payload=json.dumps(event).encode())
        return json.loads(answer["Payload"].read())

    def logged(self, function: str = "f") -> list[str]:
        """Return the lines in the log group of a function; none if there is no group."""
        self.aws.functions.drain()
        self.aws.deployed.logs.drain()
        logs = self.client("logs")
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in events]

    def queue(self, name: str = "queue") -> str:
        """Make a queue, and return its ARN."""
        self.client("sqs").create_queue(QueueName=name)
        return f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}"

    def received(self, name: str = "queue") -> list[Any]:
        """Return the messages in a queue."""
        self.aws.functions.drain()
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]

    def api(self, function: str, permitted: bool = True, **parts: Any) -> "Api":
        """Import an API in front of a function and deploy it, as Chalice does.

        Args:
            function: its name.
            permitted: whether the API may invoke it.
            parts: other parts of the Swagger document; of ``paths`` only paths and methods.
        """
        gateway = self.client("apigateway")
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{function}"
        integration = {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}"
            "/invocations",
            "responses": {"default": {"statusCode": "200"}},
        }
        paths = {
            path: {
                method: {
                    "responses": {"200": {"description": "200 response"}},
                    "x-amazon-apigateway-integration": integration,
                    **operation,
                }
                for method, operation in methods.items()
            }
            for path, methods in parts.pop("paths", {"/": {"post": {}, "get": {}}}).items()
        }
        info = {"version": "1.0", "title": "api"}
        document = {"swagger": "2.0", "info": info, "paths": paths, **parts}
        made = gateway.import_rest_api(body=json.dumps(document).encode())
        gateway.create_deployment(restApiId=made["id"], stageName="stage")
        if permitted:
            self.lambda_.add_permission(
                FunctionName=function,
                StatementId="api",
                Action="lambda:InvokeFunction",
                Principal="apigateway.amazonaws.com",
                SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{made['id']}/*",
            )
        return Api(self.aws.url, made["id"])


class Api:
    """A stage of a deployed API."""

    def __init__(self, aws_url: str, api_id: str) -> None:
        self.id = api_id
        self.url = f"{aws_url}/restapis/{api_id}/stage/_user_request_"

    def send(self, method: str = "POST", path: str = "/", **options: Any) -> requests.Response:
        """Send a request."""
        return requests.request(method, self.url + path, timeout=60, **options)


_V4 = botocore.config.Config(signature_version="v4")


def zipped(source: str) -> bytes:
    """Return a zip with a module ``code``."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as files:
        files.writestr("code.py", textwrap.dedent(source))
    return file.getvalue()


def error_of(call: Any, **arguments: Any) -> tuple[int, str, str]:
    """Return status, code and message of the error that a call ends with."""
    try:
        call(**arguments)
    except ClientError as error:
        answer: Any = error.response
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        return status, answer["Error"]["Code"], answer["Error"]["Message"]
    raise AssertionError("the call was not refused")


def signed(
    api: Api, key: str, secret: str, token: str | None = None, path: str = "/"
) -> dict[str, str]:
    """Return the headers of a signed POST without a body."""
    request = AWSRequest("POST", f"{api.url}{path}", data=b"")
    SigV4Auth(Credentials(key, secret, token), "execute-api", REGION).add_auth(request)
    return dict(request.headers)


@pytest.fixture(scope="module")
def one_laboratory(aws: EmbeddedAWS) -> Iterator[Laboratory]:
    """An embedded AWS that the tests of a module share."""
    aws.reset()
    yield Laboratory(aws)
    aws.reset()


@pytest.fixture
def laboratory(one_laboratory: Laboratory) -> Iterator[Laboratory]:
    """An embedded AWS for small experiments, with nothing in it."""
    yield one_laboratory
    one_laboratory.clear()
