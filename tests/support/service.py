"""The running service as tests use it: over HTTP, and directly through boto3."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import boto3
import requests
from botocore.config import Config
from moto.s3.models import s3_backends

from localaws.account import ACCOUNT_ID
from localaws.ports import Server
from localaws.server import EmbeddedAWS

BUCKET = "facial-recognition-data-bucket"
TABLE = "face-metadata"
COLLECTION = "face-collection"
FAILED_EVENTS = "facial-recognition-failed-events"


class Service:
    """The API and the AWS behind it."""

    def __init__(self, aws: EmbeddedAWS, api: Server) -> None:
        self.aws = aws
        self.api_url = api.url
        self.guards = [aws.guard, api.guard]
        """They admit the pages that use the service."""
        config = Config(user_agent_appid="test")
        self.s3 = boto3.client("s3", config=config)
        self.sqs = boto3.client("sqs", config=config)
        self.rekognition = boto3.client("rekognition", config=config)
        self.dynamodb = boto3.client("dynamodb", config=config)
        self.events = boto3.client("events", config=config)
        self.table = boto3.resource("dynamodb", config=config).Table(TABLE)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Send a POST request with JSON, or with other options of the requests library."""
        if body is not None:
            options["json"] = body
        return requests.post(f"{self.api_url}/{path}", timeout=60, **options)

    def register(self, image: bytes | None, **fields: Any) -> requests.Response:
        """Register a photograph as JSON."""
        return self.post("register", _with_image(image, fields))

    def verify(self, image: bytes | None, **fields: Any) -> requests.Response:
        """Verify a photograph as JSON."""
        return self.post("verify", _with_image(image, fields))

    def upload(self, key: str, image: bytes, **options: Any) -> None:
        """Upload an object, and wait until its event is handled."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=image, **options)
        self.settle()

    def remove(self, key: str) -> None:
        """Delete an object, and wait until its event is handled."""
        self.s3.delete_object(Bucket=BUCKET, Key=key)
        self.settle()

    def settle(self) -> None:
        """Wait until all events are handled."""
        self.aws.functions.drain(timeout=300)

    def whose(self, image: bytes) -> str | None:
        """Verify a photograph; return the id of the person, or None."""
        answer = self.verify(image)
        assert answer.status_code == 200, answer.text
        person = answer.json()["person"]
        return person["personId"] if person else None

    def objects(self) -> list[str]:
        """Return the keys of the objects in the bucket."""
        return [o["Key"] for o in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def versions(self) -> int:
        """Return the number of versions of all objects in the bucket."""
        return len(self.s3.list_object_versions(Bucket=BUCKET).get("Versions", []))

    def faces(self) -> list[str]:
        """Return the ids of the faces in the collection."""
        listing = self.rekognition.list_faces(CollectionId=COLLECTION)
        return [face["FaceId"] for face in listing["Faces"]]

    def items(self) -> dict[str, dict[str, Any]]:
        """Return all items of the table by their faceId."""
        return {str(item["faceId"]): item for item in self.table.scan()["Items"]}

    def photograph(self, key: str) -> dict[str, Any] | None:
        """Return the record of a photograph."""
        return self.table.get_item(Key={"faceId": f"image#{key}"}).get("Item")

    def lose_face(self) -> None:
        """Delete the only face, which is not new, from the collection."""
        (face_id,) = self.faces()
        self.rekognition.delete_faces(CollectionId=COLLECTION, FaceIds=[face_id])
        self.age_face(face_id)

    def age_face(self, face_id: str) -> None:
        """Let a face have been indexed long ago."""
        self.table.update_item(
            Key={"faceId": face_id},
            UpdateExpression="SET indexedAt = :moment",
            ExpressionAttributeValues={":moment": "2026-01-01T00:00:00+00:00"},
        )

    def failed_events(self) -> list[dict[str, Any]]:
        """Return the events in the queue of failed events; they stay there."""
        url = self.sqs.get_queue_url(QueueName=FAILED_EVENTS)["QueueUrl"]
        found = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=0
        )
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]

    def assert_consistent(self) -> None:
        """Check that bucket, table and collection agree, as they must after all events."""
        items = self.items()
        photographs = {i.removeprefix("image#"): v for i, v in items.items() if i[:6] == "image#"}
        faces = {i: v for i, v in items.items() if i[:6] != "image#"}
        assert sorted(photographs) == sorted(self.objects())
        assert sorted(faces) == sorted(self.faces())
        assert sorted(face["imageKey"] for face in faces.values()) == sorted(
            key for key, record in photographs.items() if record["status"] == "indexed"
        )
        for key, record in photographs.items():
            if record["status"] == "indexed":
                assert [faces[face]["imageKey"] for face in record["faceIds"]] == [key]
        assert not self.failed_events()


@contextmanager
def without_events(service: Service) -> Iterator[None]:
    """Turn off the events of the bucket in a block."""
    before: Any = service.s3.get_bucket_notification_configuration(Bucket=BUCKET)
    del before["ResponseMetadata"]
    put = service.s3.put_bucket_notification_configuration
    put(Bucket=BUCKET, NotificationConfiguration={})
    yield
    put(Bucket=BUCKET, NotificationConfiguration=before)


def age_objects(prefix: str, moment: datetime, bucket: str = BUCKET) -> None:
    """Change the time (UTC) at which objects were stored; S3 has no call for that."""
    (keys,) = [b.buckets[bucket].keys for b in s3_backends[ACCOUNT_ID].values()]
    for key in [key for key in keys if key.startswith(prefix)]:
        for version in keys.getlist(key):
            version.last_modified = moment.replace(tzinfo=None)


def _with_image(image: bytes | None, fields: dict[str, Any]) -> dict[str, Any]:
    return fields if image is None else {**fields, "image": base64.b64encode(image).decode()}
