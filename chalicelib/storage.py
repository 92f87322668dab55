"""The photographs in S3, and the records of them and of their faces in DynamoDB."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote, unquote

import msgspec
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib.images import EXTENSIONS, MAX_STORED_BYTES, Photograph
from chalicelib.messages import BoundingBox, Quality, Upload

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

PREFIX = "faces/"
"""Where the photographs are in the bucket: ``faces/<personId>/<file>``."""
PERSON_INDEX = "personId-index"
MAX_NAME_BYTES = 1900
"""S3 keeps 2 KB of metadata with an object; this much of it may be the percent-encoded name."""

_KEY = re.compile(rf"{PREFIX}(?P<person_id>[A-Za-z0-9_.-]{{1,64}})/[^/].*", re.DOTALL)
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_BATCH = 100  # keys in one BatchGetItem

Status = Literal["registered", "indexed", "rejected"]


def image_key(person_id: str, file_name: str, media_type: str) -> str:
    """Say where a person's photograph is stored."""
    return f"{PREFIX}{person_id}/{file_name}.{EXTENSIONS[media_type]}"


def person_of(key: str) -> str | None:
    """Say whose photograph a key names; None when it is in nobody's folder."""
    match = _KEY.fullmatch(key)
    return match["person_id"] if match else None


def now() -> str:
    """Return the present moment as in the records: ISO 8601, UTC, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


# --- S3 -------------------------------------------------------------------------------------


class StoredPhotograph(Struct, frozen=True):
    """What S3 says of an object, without its content."""

    key: str
    etag: str
    size: int
    name: str | None
    """The person's name, where the upload gave one."""


class ListedPhotograph(Struct, frozen=True):
    """An object as a listing shows it."""

    key: str
    etag: str


class Photographs:
    """The bucket. Methods raise :class:`botocore.exceptions.ClientError` as S3 does."""

    def __init__(self, client: "Callable[[], S3Client]", bucket: str) -> None:
        """Take a function that gives the client, so that it is made only when needed."""
        self._client = client
        self.bucket = bucket

    def head(self, key: str) -> StoredPhotograph | None:
        """Look at an object; None when there is none."""
        try:
            found = self._client().head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
        name = unquote(found["Metadata"].get("name", "")).strip()
        valid = 0 < len(name) <= 200 and name.isprintable()
        return StoredPhotograph(
            key,
            found["ETag"].strip('"'),
            found["ContentLength"],
            name if valid else None,
        )

    def put(self, key: str, photograph: Photograph, name: str, *, replace: bool) -> bool:
        """Store a photograph; False when one is there and it was not to be replaced."""
        condition: Any = {} if replace else {"IfNoneMatch": "*"}
        try:
            self._client().put_object(
                Bucket=self.bucket,
                Key=key,
                Body=photograph.data,
                ContentType=photograph.media_type,
                Metadata={"name": quote(name)},
                **condition,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "412"):
                return False
            raise
        return True

    def presign_upload(self, key: str, media_type: str, name: str, expires_in: int) -> Upload:
        """Allow one key to be uploaded without credentials, for ``expires_in`` seconds."""
        fields = {"Content-Type": media_type, "x-amz-meta-name": quote(name)}
        conditions: list[Any] = [{field: value} for field, value in fields.items()]
        post = self._client().generate_presigned_post(
            Bucket=self.bucket,
            Key=key,
            Fields=dict(fields),
            Conditions=[*conditions, ["content-length-range", 1, MAX_STORED_BYTES]],
            ExpiresIn=expires_in,
        )
        return Upload(post["url"], post["fields"], expires_in)

    def page(self, prefix: str, after: str | None, limit: int) -> list[ListedPhotograph]:
        """List up to ``limit`` objects in order of their keys, those after the key ``after``."""
        listing = self._client().list_objects_v2(
            Bucket=self.bucket, Prefix=prefix, MaxKeys=limit, StartAfter=after or ""
        )
        return [
            ListedPhotograph(item["Key"], item["ETag"].strip('"'))
            for item in listing.get("Contents", [])
        ]


# --- DynamoDB -------------------------------------------------------------------------------


class FaceRecord(Struct, frozen=True, kw_only=True, rename="camel"):
    """A face of the collection: whose it is and where it was seen."""

    face_id: str
    person_id: str
    name: str
    image_key: str
    bounding_box: BoundingBox
    confidence: float
    quality: Quality
    indexed_at: str
    face_model_version: str


class PhotographRecord(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A photograph: how far it has come."""

    face_id: str
    """The table's hash key: ``image#`` and the photograph's key."""
    person_id: str | None = None
    name: str | None = None
    status: Status
    etag: str | None = None
    """Of the content that the status speaks of."""
    face_ids: list[str] = []
    """Every face that may be in the collection because of this photograph."""
    reason: str | None = None
    """Why it was rejected: the code of a problem."""
    detail: str | None = None
    """The same in words."""
    registered_at: str | None = None
    indexed_at: str | None = None
    attempts: int = 0
    """How often indexing was begun."""

    @staticmethod
    def id_of(key: str) -> str:
        """Name the item of a photograph."""
        return f"image#{key}"

    @property
    def image_key(self) -> str:
        """The photograph's key in S3."""
        return self.face_id.removeprefix("image#")


R = TypeVar("R", FaceRecord, PhotographRecord)


class RecordChanged(Exception):
    """Somebody else changed the record at the same time: look again."""


class Records:
    """The table. Methods raise :class:`botocore.exceptions.ClientError` as DynamoDB does."""

    def __init__(self, client: "Callable[[], DynamoDBClient]", table: str) -> None:
        """Take a function that gives the client, so that it is made only when needed."""
        self._client = client
        self._table = table

    def photograph(self, key: str) -> PhotographRecord | None:
        """Read the record of a photograph."""
        found = self._client().get_item(
            TableName=self._table,
            Key=_plain({"faceId": PhotographRecord.id_of(key)}),
            ConsistentRead=True,
        )
        return _record(found["Item"], PhotographRecord) if "Item" in found else None

    def photographs(self, keys: Iterable[str]) -> dict[str, PhotographRecord]:
        """Read the records of photographs by their keys; those without one are left out."""
        items = self._batch(PhotographRecord.id_of(key) for key in keys)
        records = [_record(item, PhotographRecord) for item in items]
        return {record.image_key: record for record in records}

    def faces(self, face_ids: Iterable[str]) -> dict[str, FaceRecord]:
        """Read the records of faces by their ids; those without one are left out."""
        records = [_record(item, FaceRecord) for item in self._batch(face_ids)]
        return {record.face_id: record for record in records}

    def is_registered(self, person_id: str) -> bool:
        """Say whether anything is recorded for a person."""
        found = self._client().query(
            TableName=self._table,
            IndexName=PERSON_INDEX,
            KeyConditionExpression="personId = :person",
            ExpressionAttributeValues=_plain({":person": person_id}),
            Select="COUNT",
            Limit=1,
        )
        return found["Count"] > 0

    def page(
        self, person_id: str | None, after: str | None, limit: int
    ) -> tuple[list[PhotographRecord], str | None]:
        """Read photographs' records, a person's or everybody's, from the key ``after`` on.

        Returns:
            At most ``limit`` records, and the key to go on after; None at the end.
        """
        start = {"faceId": PhotographRecord.id_of(after)} if after else {}
        if person_id is None:
            request: Any = {
                "FilterExpression": "begins_with(faceId, :image)",
                "ExpressionAttributeValues": _plain({":image": "image#"}),
            }
            read: Any = self._client().scan
        else:
            request = {
                "IndexName": PERSON_INDEX,
                "KeyConditionExpression": "personId = :person AND begins_with(faceId, :image)",
                "ExpressionAttributeValues": _plain({":person": person_id, ":image": "image#"}),
            }
            read = self._client().query
            if start:
                start["personId"] = person_id
        if start:
            request["ExclusiveStartKey"] = _plain(start)
        found = read(TableName=self._table, Limit=limit, **request)
        last = found.get("LastEvaluatedKey")
        return (
            [_record(item, PhotographRecord) for item in found["Items"]],
            last["faceId"]["S"].removeprefix("image#") if last else None,
        )

    def register(self, key: str, person_id: str, name: str) -> None:
        """Record a photograph that has just been stored, unless indexing was faster."""
        record = PhotographRecord(
            face_id=PhotographRecord.id_of(key),
            person_id=person_id,
            name=name,
            status="registered",
            registered_at=now(),
        )
        with suppress(self._client().exceptions.ConditionalCheckFailedException):
            self._client().put_item(
                TableName=self._table,
                Item=_item(record),
                ConditionExpression="attribute_not_exists(faceId)",
            )

    def begin(
        self, key: str, etag: str, person_id: str | None, name: str | None
    ) -> PhotographRecord:
        """Record that this content of a photograph is going to be indexed.

        What is remembered of earlier attempts, such as their faces, stays until it is done.
        """
        changes = {
            "status": "registered",
            "etag": etag,
            "personId": person_id,
            "name": name,
        }
        found = self._client().update_item(
            TableName=self._table,
            Key=_plain({"faceId": PhotographRecord.id_of(key)}),
            ReturnValues="ALL_NEW",
            **_update(
                changes,
                "attempts = if_not_exists(attempts, :zero) + :one",
                "registeredAt = if_not_exists(registeredAt, :now)",
                values={":zero": 0, ":one": 1, ":now": now()},
            ),
        )
        return _record(found["Attributes"], PhotographRecord)

    def settle(
        self, record: PhotographRecord, face: FaceRecord | None, outdated: Iterable[str]
    ) -> None:
        """Write what came of indexing: the photograph's record, its face, no outdated face.

        All of it is written or nothing.

        Raises:
            RecordChanged: the photograph is no longer the one that ``begin`` saw.
        """
        operations: list[Any] = [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": _item(record),
                    "ConditionExpression": "etag = :etag",
                    "ExpressionAttributeValues": _plain({":etag": record.etag}),
                }
            }
        ]
        if face is not None:
            operations.append({"Put": {"TableName": self._table, "Item": _item(face)}})
        operations += self._deletions(outdated)
        self._transact(operations)

    def forget(self, record: PhotographRecord) -> None:
        """Delete a photograph's record and those of its faces.

        Raises:
            RecordChanged: the photograph has been begun to be indexed again meanwhile.
        """
        unchanged = {
            "Delete": {
                "TableName": self._table,
                "Key": _plain({"faceId": record.face_id}),
                "ConditionExpression": "attribute_not_exists(attempts) OR attempts = :attempts",
                "ExpressionAttributeValues": _plain({":attempts": record.attempts}),
            }
        }
        self._transact([unchanged, *self._deletions(record.face_ids)])

    def _deletions(self, face_ids: Iterable[str]) -> list[Any]:
        return [
            {"Delete": {"TableName": self._table, "Key": _plain({"faceId": face_id})}}
            for face_id in face_ids
        ]

    def _transact(self, operations: list[Any]) -> None:
        try:
            self._client().transact_write_items(TransactItems=operations)
        except self._client().exceptions.TransactionCanceledException as error:
            codes = {reason.get("Code") for reason in error.response["CancellationReasons"]}
            if codes <= {"ConditionalCheckFailed", "TransactionConflict", "None", None}:
                raise RecordChanged from error
            raise

    def _batch(self, ids: Iterable[str]) -> list[Any]:
        """Read items by their hash keys, 100 to a request."""
        wanted = list(dict.fromkeys(ids))
        items: list[Any] = []
        for start in range(0, len(wanted), _BATCH):
            keys: Any = [_plain({"faceId": id_}) for id_ in wanted[start : start + _BATCH]]
            while keys:
                request: Any = {self._table: {"Keys": keys, "ConsistentRead": True}}
                answer: Any = self._client().batch_get_item(RequestItems=request)
                items += answer["Responses"].get(self._table, [])
                keys = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
        return items


# --- DynamoDB's wire format -----------------------------------------------------------------

_serializer, _deserializer = TypeSerializer(), TypeDeserializer()
_encoder = msgspec.json.Encoder(decimal_format="number")


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _serializer.serialize(value) for name, value in values.items()}


def _item(record: Struct) -> dict[str, Any]:
    # DynamoDB's numbers are decimal: the shortest decimal of a float reads back as that float.
    return _plain(json.loads(msgspec.json.encode(record), parse_float=Decimal))


def _record(item: Mapping[str, Any], kind: type[R]) -> R:
    values = {name: _deserializer.deserialize(value) for name, value in item.items()}
    return msgspec.json.decode(_encoder.encode(values), type=kind)


def _update(changes: Mapping[str, Any], *more: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Write an update expression: set what is given, remove what is None."""
    sets = [f"#{name} = :{name}" for name, value in changes.items() if value is not None]
    removes = [f"#{name}" for name, value in changes.items() if value is None]
    given = {f":{name}": value for name, value in changes.items() if value is not None}
    expression = "SET " + ", ".join([*sets, *more])
    if removes:
        expression += " REMOVE " + ", ".join(removes)
    return {
        "UpdateExpression": expression,
        "ExpressionAttributeNames": {f"#{name}": name for name in changes},
        "ExpressionAttributeValues": _plain({**given, **values}),
    }
