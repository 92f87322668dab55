"""The service, deployed by ``make deploy STAGE=prod`` to an embedded AWS of its own."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import requests

from chalicelib.settings import Settings
from control import control
from localaws.account import REGION
from localaws.credentials import ACCESS_KEY_ID, AccessKey
from tests.infra.project import BUCKET, ProjectCopy

ROOT = Path(__file__).parent.parent.parent
TABLE = "face-metadata"
COLLECTION = "face-collection"
FUNCTION = "facial-recognition-prod"
TIMEOUT = 60.0


class Deployment:
    """What was deployed, as its users see it, and AWS behind it."""

    def __init__(self, aws_url: str, key: AccessKey, folder: Path) -> None:
        self.aws_url = aws_url
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if name[:4] != "AWS_"},
            "AWS_ENDPOINT_URL": aws_url,
            **key.environment,
            "AWS_DEFAULT_REGION": REGION,
        }
        self._session = boto3.Session(key.access_key_id, key.secret_access_key, region_name=REGION)
        self.copy = ProjectCopy(folder)
        stage = self.copy.stage()
        stage.environment.update(FORGET_AFTER_DAYS="30", VERIFICATIONS_NOTED_SINCE="2020-01-01")
        stage.save()
        done = self.copy.run("deploy", **self.environment)
        assert done.code == 0, done.said + done.error
        self.s3 = self.client("s3")
        self.functions = self.client("lambda")
        (api,) = self.client("apigateway").get_rest_apis()["items"]
        self.api_url = f"{aws_url}/restapis/{api['id']}/prod/_user_request_"
        (key,) = self.client("apigateway").get_api_keys(includeValues=True)["items"]
        self.key = {"x-api-key": key["value"]}

    def client(self, service: str) -> Any:
        """Return a client that may do everything."""
        return self._session.client(service, endpoint_url=self.aws_url)  # type: ignore[call-overload]

    @property
    def settings(self) -> Settings:
        """What the functions were deployed with."""
        return Settings.from_environment(self.copy.stage().environment)

    def granted(self, function: str) -> Any:
        """Read the policy that a function was deployed with."""
        files = self.copy.stage().policy_files()
        (file,) = (
            f for name, f in files.items() if self.copy.stage().function_name(name) == function
        )
        return json.loads(file.read_text())

    @property
    def package(self) -> Path:
        """The zip that was deployed."""
        (package,) = (self.folder / ".chalice" / "deployments").glob("*.zip")
        return package

    # --- using it ---

    def post(self, path: str, body: Any) -> requests.Response:
        """Send JSON."""
        return requests.post(f"{self.api_url}/{path}", json=body, headers=self.key, timeout=TIMEOUT)

    def register(self, image: bytes, **fields: Any) -> requests.Response:
        """Register a photograph."""
        return self.post("register", {"image": base64.b64encode(image).decode(), **fields})

    def verify(self, image: bytes, **fields: Any) -> requests.Response:
        """Verify a photograph."""
        return self.post("verify", {"image": base64.b64encode(image).decode(), **fields})

    def create_index(self, **fields: Any) -> dict[str, Any]:
        """Converge photographs, all pages of them; add up what came of it."""
        total: dict[str, Any] = {"indexed": [], "removed": 0, "failed": [], "pages": 0}
        token = None
        while True:
            answer = self.post("create-index", fields | ({"nextToken": token} if token else {}))
            assert answer.status_code == 200, answer.text
            report = answer.json()
            for name in ("indexed", "removed", "failed"):
                total[name] += report[name]
            total["pages"] += 1
            total["collectionId"] = report["collectionId"]
            token = report["nextToken"]
            if token is None:
                return total

    def upload(self, key: str, image: bytes, **options: Any) -> None:
        """Put an object into the bucket, and wait until its event is handled."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=image, **options)
        self.settle()

    def remove(self, key: str) -> None:
        """Remove an object from the bucket, and wait until its event is handled."""
        self.s3.delete_object(Bucket=BUCKET, Key=key)
        self.settle()

    def record(self, key: str) -> dict[str, Any] | None:
        """Read the record of a photograph."""
        found = self.client("dynamodb").get_item(
            TableName=TABLE, Key={"faceId": {"S": f"image#{key}"}}, ConsistentRead=True
        )
        return found.get("Item")

    def status(self, key: str) -> str | None:
        """Say how far a photograph has come."""
        record = self.record(key)
        return record["status"]["S"] if record else None

    def faces(self) -> list[str]:
        """List the ids of the faces in the collection."""
        listing = self.client("rekognition").list_faces(CollectionId=COLLECTION)
        return [face["FaceId"] for face in listing["Faces"]]

    @contextmanager
    def without_events(self) -> Iterator[None]:
        """Let S3 tell nobody of what happens meanwhile."""
        told = self.s3.get_bucket_notification_configuration(Bucket=BUCKET)
        told.pop("ResponseMetadata")
        self.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
        yield
        self.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration=told)

    def late_event(self, handler: str, key: str) -> None:
        """Bring an event of S3 to a handler, and wait until it is handled."""
        record = {"s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}}
        self.invoke(handler, {"Records": [record]})

    def invoke(self, handler: str, event: Any) -> None:
        """Invoke a handler asynchronously, and wait until it has ended."""
        self.functions.invoke(
            FunctionName=f"{FUNCTION}-{handler}",
            InvocationType="Event",
            Payload=json.dumps(event).encode(),
        )
        self.settle()

    def run_schedule(self) -> None:
        """Put the daily rule again, which starts it anew, and wait until its function has run."""
        events = self.client("events")
        (rule,) = events.list_rules()["Rules"]
        runs = self._runs()
        events.put_rule(Name=rule["Name"], ScheduleExpression=rule["ScheduleExpression"])
        until = time.monotonic() + TIMEOUT
        while self._runs() == runs:
            assert time.monotonic() < until, "the rule was not obeyed"
            time.sleep(0.1)
        self.settle()

    def _runs(self) -> int:
        logs = self.client("logs")
        group = f"/aws/lambda/{FUNCTION}-forget_unverified"
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        try:
            return sum('"message":"forgetting"' in e["message"] for p in pages for e in p["events"])
        except logs.exceptions.ResourceNotFoundException:  # somebody has deleted it
            return 0

    def settle(self) -> None:
        """Wait until no event is left to be handled."""
        control(self._session, self.aws_url, "quiet")

    def asked(self) -> list[dict[str, Any]]:
        """Return what the roles of the functions have needed."""
        self.settle()
        found: list[dict[str, Any]] = control(self._session, self.aws_url, "permissions")
        return found


@contextmanager
def deployed(folder: Path) -> Iterator[Deployment]:
    """Deploy the project, and end all of it afterwards."""
    embedded = subprocess.Popen(
        [sys.executable, "-m", "tests.deploy.embedded"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert embedded.stdin is not None
    assert embedded.stdout is not None
    try:
        aws_url, secret = embedded.stdout.readline().split()
        yield Deployment(aws_url, AccessKey(ACCESS_KEY_ID, secret), folder)
    finally:
        embedded.stdin.close()
        assert embedded.wait(timeout=TIMEOUT) == 0
        embedded.stdout.close()
