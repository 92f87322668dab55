"""The photographs in S3, and the records of them and of their faces in DynamoDB."""

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import md5, sha256
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote, unquote

import msgspec
from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib.images import EXTENSIONS, MAX_STORED_BYTES, Photograph
from chalicelib.messages import CONSENT_PATTERN, BoundingBox, Quality, Upload, is_visible

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

PREFIX = "faces/"
"""Where the photographs are in the bucket: ``faces/<personId>/<file>``."""
PERSON_INDEX = "personId-index"
MAX_NAME_BYTES = 1800
"""S3 keeps 2 KB of metadata with an object; this much of it may be the percent-encoded name. The
rest is for consent, caller and what a placeholder stands for."""
MAX_CALLER_BYTES = 140

_CONSENT = re.compile(CONSENT_PATTERN)
_KEY = re.compile(rf"{PREFIX}(?P<person_id>(?!\.{{1,2}}/)[A-Za-z0-9_.-]{{1,64}})/[^/].*", re.DOTALL)
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
_CHANGED_ITEM = frozenset({"ConditionalCheckFailedException", "TransactionConflictException"})
_STANDS_FOR = "stands-for"
_LISTED = 1000  # objects in one listing
_PERSON_PAGE = 1000  # items of a person read at once
_BATCH = 100  # keys in one BatchGetItem
_NOTED = 20  # faces of which it is noted that their person was recognised
_DELETED_AT_ONCE = 1000  # versions in one DeleteObjects

Status = Literal["registered", "indexed", "rejected"]


def image_key(person_id: str, file_name: str, media_type: str) -> str:
    """Say where a person's photograph is stored."""
    return f"{PREFIX}{person_id}/{file_name}.{EXTENSIONS[media_type]}"


def person_of(key: str) -> str | None:
    """Say whose photograph a key names; None when it is in nobody's folder."""
    match = _KEY.fullmatch(key)
    return match["person_id"] if match else None


def folder_of(person_id: str) -> str:
    """Say where a person's photographs are."""
    return f"{PREFIX}{person_id}/"


def now() -> str:
    """Return the present moment as in the records: ISO 8601, UTC, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def today() -> str:
    """Return the present day of UTC, ISO 8601."""
    return now()[:10]


# --- S3 -------------------------------------------------------------------------------------


class StoredPhotograph(Struct, frozen=True):
    """What S3 says of an object, without its content."""

    key: str
    etag: str
    size: int
    name: str | None
    """The person's name, where the upload gave one."""
    consent: str | None
    """Version of the text that the person agreed to, where the upload gave one."""
    caller: str | None
    """Who registered it, where that came through the API or the command line."""
    version_id: str | None
    """None in a bucket without versions."""
    is_kept: bool = True
    """False of a placeholder: then ``etag`` is that of the photograph it stands for."""


class ListedPhotograph(Struct, frozen=True):
    """An object as a listing shows it."""

    key: str
    etag: str
    day: str
    """When it was stored: of UTC, ISO 8601."""


class Version(Struct, frozen=True):
    """One version of an object, or a mark that it was deleted."""

    key: str
    version_id: str


class UnfinishedUpload(Struct, frozen=True):
    """A multipart upload that has not come to its end; S3 keeps its parts until then."""

    key: str
    upload_id: str


def describe(name: str | None, consent: str | None, caller: str | None) -> dict[str, str]:
    """Write what is kept with a photograph in S3 of how it came to be registered."""
    if caller is not None:
        caller = quote(caller, safe="/:@+=,")  # as in ARNs, which are long enough already
        if len(caller) > MAX_CALLER_BYTES:
            caller = f"sha256:{sha256(caller.encode()).hexdigest()}"
    known = {"name": name and quote(name), "consent": consent, "caller": caller}
    return {field: value for field, value in known.items() if value}


def placeholder(etag: str) -> bytes:
    """Return what is stored in place of a photograph that is not kept, by the photograph's ETag.

    As long as it is there, the photograph counts as there; who removes it, removes the face.
    """
    return f"The photograph {etag} was indexed here and is not kept.\n".encode()


def stands_for(listed: str, etag: str) -> bool:
    """Say by its ETag in a listing whether an object is the placeholder of a photograph.

    Not so where the bucket is encrypted by keys of KMS, since ETags are no MD5 there.
    """
    return listed == md5(placeholder(etag), usedforsecurity=False).hexdigest()


class Photographs:
    """The bucket. Methods raise :class:`botocore.exceptions.ClientError` as S3 does."""

    def __init__(self, client: "Callable[[], S3Client]", bucket: str) -> None:
        """Take a function that gives the client, so that it is made only when needed."""
        self._client = client
        self.bucket = bucket

    def head(self, key: str, version_id: str | None = None) -> StoredPhotograph | None:
        """Look at an object, or at one version of it; None when there is none."""
        version: Any = {} if version_id is None else {"VersionId": version_id}
        try:
            found = self._client().head_object(Bucket=self.bucket, Key=key, **version)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
        metadata = found["Metadata"]
        name = unquote(metadata.get("name", "")).strip()
        valid = len(name) <= 200 and is_visible(name)
        consent, caller = metadata.get("consent", ""), unquote(metadata.get("caller", ""))
        etag = found["ETag"].strip('"')
        stands_for = metadata.get(_STANDS_FOR)
        return StoredPhotograph(
            key=key,
            etag=stands_for or etag,
            size=found["ContentLength"],
            name=name if valid else None,
            consent=consent if _CONSENT.match(consent) else None,
            caller=caller[:MAX_CALLER_BYTES] or None,
            version_id=found.get("VersionId"),
            is_kept=stands_for is None,
        )

    def put(
        self, key: str, photograph: Photograph, metadata: Mapping[str, str], *, replace: bool
    ) -> bool:
        """Store a photograph, with what :func:`describe` says of it.

        Returns:
            False when one is there and it was not to be replaced.
        """
        condition: Any = {} if replace else {"IfNoneMatch": "*"}
        try:
            self._client().put_object(
                Bucket=self.bucket,
                Key=key,
                Body=photograph.data,
                ContentType=photograph.media_type,
                Metadata=metadata,
                **condition,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _CHANGED:
                return False
            raise
        return True

    def presign_upload(
        self, key: str, media_type: str, metadata: Mapping[str, str], expires_in: int
    ) -> Upload:
        """Allow one key to be uploaded without credentials, for ``expires_in`` seconds."""
        described = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        fields = {"Content-Type": media_type, **described}
        conditions: list[Any] = [{field: value} for field, value in fields.items()]
        post = self._client().generate_presigned_post(
            Bucket=self.bucket,
            Key=key,
            Fields=dict(fields),
            Conditions=[*conditions, ["content-length-range", 1, MAX_STORED_BYTES]],
            ExpiresIn=expires_in,
        )
        # boto3 names S3's global address for buckets of any region: it redirects in a bucket's
        # first hours, which browsers do not follow with a form; newer regions are not behind it.
        regional = f"s3.{self._client().meta.region_name}.amazonaws.com"
        return Upload(post["url"].replace("s3.amazonaws.com", regional), post["fields"], expires_in)

    def page(self, prefix: str, after: str | None, limit: int) -> list[ListedPhotograph]:
        """List up to ``limit`` objects in order of their keys, those after the key ``after``."""
        listing = self._client().list_objects_v2(
            Bucket=self.bucket, Prefix=prefix, MaxKeys=limit, StartAfter=after or ""
        )
        return [
            ListedPhotograph(
                item["Key"], item["ETag"].strip('"'), item["LastModified"].date().isoformat()
            )
            for item in listing.get("Contents", [])
        ]

    def below(self, prefix: str) -> Iterator[ListedPhotograph]:
        """Go through the objects whose keys begin so, as they are now."""
        after = None
        while page := self.page(prefix, after, _LISTED):
            yield from page
            after = page[-1].key

    def let_go(self, stored: StoredPhotograph) -> bool:
        """Put a placeholder where a photograph is; False if something else is there by now.

        The photograph is then an older version, which :meth:`delete_older` deletes.
        """
        metadata = describe(stored.name, stored.consent, stored.caller)
        try:
            self._client().put_object(
                Bucket=self.bucket,
                Key=stored.key,
                Body=placeholder(stored.etag),
                ContentType="text/plain",
                Metadata={**metadata, _STANDS_FOR: stored.etag},
                IfMatch=f'"{stored.etag}"',
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in (*_MISSING, *_CHANGED):
                return False
            raise
        return True

    def delete_older(self, stored: StoredPhotograph) -> bool:
        """Delete the versions from before a placeholder, if there are any.

        Returns:
            False when the placeholder had come over the same photograph with another name or
            consent, which nobody has looked at yet: then the placeholder is what was deleted.
        """
        if stored.version_id is None:
            return True
        pages = self._client().get_paginator("list_object_versions")
        older: list[Version] = []
        is_older = False
        for page in pages.paginate(Bucket=self.bucket, Prefix=stored.key):
            for item in page.get("Versions", []):  # of each key, the newest first
                if item["Key"] == stored.key:
                    if is_older:
                        older.append(Version(item["Key"], item["VersionId"]))
                    is_older = is_older or item["VersionId"] == stored.version_id
        replaced = self.head(stored.key, older[0].version_id) if older else None
        if (
            replaced
            and replaced.is_kept
            and replaced.etag == stored.etag
            and (replaced.name, replaced.consent) != (stored.name, stored.consent)
        ):
            self.delete([Version(stored.key, stored.version_id)])
            return False
        self.delete(older)
        return True

    def read(self, stored: StoredPhotograph) -> bytes:
        """Return the content of an object, as it was when it was looked at."""
        version: Any = {"VersionId": stored.version_id} if stored.version_id else {}
        found = self._client().get_object(Bucket=self.bucket, Key=stored.key, **version)
        return found["Body"].read()

    def versions(self, prefix: str) -> Iterator[Version]:
        """Go through all versions of all objects, and the marks of those that were deleted."""
        pages = self._client().get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for item in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                yield Version(item["Key"], item["VersionId"])

    def delete(self, versions: Sequence[Version]) -> None:
        """Delete versions for good."""
        for start in range(0, len(versions), _DELETED_AT_ONCE):
            chunk = versions[start : start + _DELETED_AT_ONCE]
            objects: Any = [{"Key": v.key, "VersionId": v.version_id} for v in chunk]
            answer = self._client().delete_objects(
                Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True}
            )
            for error in answer.get("Errors", []):
                raise ClientError({"Error": dict(error)}, "DeleteObjects")  # type: ignore[typeddict-item]

    def unfinished_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Go through the multipart uploads that have neither been completed nor aborted."""
        pages = self._client().get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for item in page.get("Uploads", []):
                yield UnfinishedUpload(item["Key"], item["UploadId"])

    def abort(self, upload: UnfinishedUpload) -> None:
        """Drop what has come of a multipart upload."""
        self._client().abort_multipart_upload(
            Bucket=self.bucket, Key=upload.key, UploadId=upload.upload_id
        )


# --- DynamoDB -------------------------------------------------------------------------------


class FaceRecord(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
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
    verified_on: str | None = None
    """Day on which this person was last recognised, where that is noted."""


class PhotographRecord(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A photograph: how far it has come."""

    face_id: str
    """The table's hash key: ``image#`` and the photograph's key."""
    person_id: str | None = None
    name: str | None = None
    consent: str | None = None
    """Version of the text that the person agreed to."""
    caller: str | None = None
    """Who registered it."""
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
    """How often indexing was begun: it tells whether the record has changed since it was read."""
    running: dict[str, float] = {}
    """Attempts that have not ended, by their ids, with the time since the epoch in seconds.

    One that was stopped stays here, so that the faces which it may have left are looked for.
    """

    @staticmethod
    def id_of(key: str) -> str:
        """Name the item of a photograph."""
        return f"image#{key}"

    @property
    def image_key(self) -> str:
        """The photograph's key in S3."""
        return self.face_id.removeprefix("image#")


R = TypeVar("R", bound=Struct)


Operation = dict[str, Any]
"""One write of a DynamoDB transaction."""


class RecordChanged(Exception):
    """Somebody else changed the record at the same time: look again."""


class Records:
    """The table. Methods raise :class:`botocore.exceptions.ClientError` as DynamoDB does.

    Items that something else has put into it, as whoever adopts a table may have, count for nothing
    and are left alone.
    """

    def __init__(self, client: "Callable[[], DynamoDBClient]", table: str) -> None:
        """Take a function that gives the client, so that it is made only when needed."""
        self._client = client
        self._table = table

    def photograph(self, key: str) -> PhotographRecord | None:
        """Read the record of a photograph."""
        return self._get(PhotographRecord.id_of(key), PhotographRecord)

    def face(self, face_id: str) -> FaceRecord | None:
        """Read the record of a face."""
        return self._get(face_id, FaceRecord)

    def photographs(self, keys: Iterable[str]) -> dict[str, PhotographRecord]:
        """Read the records of photographs by their keys; those without one are left out."""
        items = self._batch(PhotographRecord.id_of(key) for key in keys)
        records = (_record(item, PhotographRecord) for item in items)
        return {record.image_key: record for record in records if record}

    def faces(self, face_ids: Iterable[str]) -> dict[str, FaceRecord]:
        """Read the records of faces by their ids; those without one are left out."""
        records = (_record(item, FaceRecord) for item in self._batch(face_ids))
        return {record.face_id: record for record in records if record}

    def is_registered(self, person_id: str) -> bool:
        """Say whether anything is recorded for a person."""
        found = self._client().query(
            TableName=self._table,
            IndexName=PERSON_INDEX,
            KeyConditionExpression="personId = :person",
            ExpressionAttributeValues=plain({":person": person_id}),
            Select="COUNT",
            Limit=1,
        )
        return found["Count"] > 0

    def page(
        self, person_id: str | None, after: str | None, limit: int
    ) -> tuple[list[PhotographRecord], list[FaceRecord], str | None]:
        """Read the records of a person or of everybody, from the item ``after`` on.

        Returns:
            At most ``limit`` records, of photographs and of faces, and the item to go on after;
            None at the end.
        """
        request: Any = {"TableName": self._table, "Limit": limit}
        start = {"faceId": after}
        if person_id is None:
            read: Any = self._client().scan
        else:
            read = self._client().query
            request |= {
                "IndexName": PERSON_INDEX,
                "KeyConditionExpression": "personId = :person",
                "ExpressionAttributeValues": plain({":person": person_id}),
            }
            start["personId"] = person_id
        if after is not None:
            request["ExclusiveStartKey"] = plain(start)
        found = read(**request)
        photographs, faces = [], []
        for item in found["Items"]:
            if item["faceId"]["S"].startswith(PhotographRecord.id_of("")):
                photographs.append(_record(item, PhotographRecord))
            else:
                faces.append(_record(item, FaceRecord))
        last = found.get("LastEvaluatedKey")
        after = last["faceId"]["S"] if last else None
        return [one for one in photographs if one], [one for one in faces if one], after

    def of_person(self, person_id: str) -> tuple[list[PhotographRecord], list[FaceRecord]]:
        """Read all that is recorded of a person, by the index: what is new may be missing."""
        photographs, faces, after = [], [], None
        while True:
            some_photographs, some_faces, after = self.page(person_id, after, _PERSON_PAGE)
            photographs += some_photographs
            faces += some_faces
            if after is None:
                return photographs, faces

    def naming(self, person_ids: Collection[str]) -> Iterator[tuple[str, str, str]]:
        """Read the whole table for the items that name persons.

        Nothing is missed, not even what the index does not show yet.

        Yields:
            Person, hash key, and key of the photograph of each.
        """
        prefix = PhotographRecord.id_of("")
        for item in self._all("faceId, personId, imageKey"):
            id_ = item["faceId"]["S"]
            is_face = not id_.startswith(prefix)
            key = item.get("imageKey", {}).get("S", "") if is_face else id_.removeprefix(prefix)
            person_id: str | None = item.get("personId", {}).get("S") or person_of(key)
            if person_id is not None and person_id in person_ids:
                yield person_id, id_, key

    def days(self) -> Iterator[tuple[str, str]]:
        """Go through the whole table; give for each item whose it is and its latest day.

        That is the day of registration, of indexing or of the last verification, and empty where
        an item says nothing of them. Items of nobody are left out.
        """
        for item in self._all("personId, registeredAt, indexedAt, verifiedOn"):
            if "personId" in item:
                person_id = item.pop("personId")["S"]
                yield person_id, max((value["S"][:10] for value in item.values()), default="")

    def _all(self, wanted: str) -> Iterator[dict[str, Any]]:
        """Read attributes of all items as they are now."""
        pages = self._client().get_paginator("scan")
        for page in pages.paginate(
            TableName=self._table, ConsistentRead=True, ProjectionExpression=wanted
        ):
            yield from page["Items"]

    def delete(self, ids: Iterable[str]) -> None:
        """Delete items by their hash keys, whatever they are."""
        for id_ in ids:
            self._client().delete_item(TableName=self._table, Key=plain({"faceId": id_}))

    def listed(self) -> Iterator[str]:
        """Go through the hash keys of all items that the index of persons shows."""
        pages = self._client().get_paginator("scan")
        for page in pages.paginate(
            TableName=self._table, IndexName=PERSON_INDEX, ProjectionExpression="faceId"
        ):
            for item in page["Items"]:
                yield item["faceId"]["S"]

    def register(
        self,
        key: str,
        person_id: str,
        name: str,
        consent: str | None = None,
        caller: str | None = None,
    ) -> None:
        """Record a photograph that has just been stored, unless indexing was faster."""
        record = PhotographRecord(
            face_id=PhotographRecord.id_of(key),
            person_id=person_id,
            name=name,
            consent=consent,
            caller=caller,
            status="registered",
            registered_at=now(),
        )
        with suppress(RecordChanged), self._refusing_change():
            self._client().put_item(
                TableName=self._table,
                Item=as_item(record),
                ConditionExpression="attribute_not_exists(faceId)",
            )

    def begin(
        self,
        before: PhotographRecord | None,
        attempt: str,
        stored: StoredPhotograph | None,
        key: str,
    ) -> PhotographRecord:
        """Record that what is stored under a key now, or that nothing is, is going to be indexed.

        What is remembered of earlier attempts, such as their faces, stays until it is done.

        Args:
            before: the record as it was when ``stored`` was looked at.
            attempt: an id of the attempt.
            stored: what is stored.
            key: the photograph's.

        Raises:
            RecordChanged: the record is not ``before`` any more.
        """
        running = {**(before.running if before else {}), attempt: time.time()}
        changes: dict[str, Any] = {
            "status": "registered",
            "etag": stored.etag if stored else None,
            "running": _moments(running),
            "attempts": (before.attempts if before else 0) + 1,
        }
        if stored is not None:
            changes |= {
                "personId": person_of(key),
                "name": stored.name or person_of(key),
                "consent": stored.consent,
                "caller": stored.caller,
            }
        update = _update(changes, "registeredAt = if_not_exists(registeredAt, :moment)")
        update["ExpressionAttributeValues"] |= plain({":moment": now()})
        if before is None:
            update["ConditionExpression"] = "attribute_not_exists(faceId)"
        else:
            unchanged = _unchanged_since(before)
            update["ConditionExpression"] = unchanged["ConditionExpression"]
            update["ExpressionAttributeValues"] |= unchanged["ExpressionAttributeValues"]
        with self._refusing_change():
            found = self._client().update_item(
                TableName=self._table,
                Key=plain({"faceId": PhotographRecord.id_of(key)}),
                ReturnValues="ALL_NEW",
                **update,
            )
        return from_item(found["Attributes"], PhotographRecord)

    def settle(
        self,
        record: PhotographRecord,
        attempt: str,
        outdated: Iterable[str],
        face: FaceRecord | None,
        also: Sequence[Operation] = (),
    ) -> None:
        """End an attempt: write the record, its face, no outdated faces; all of it or nothing.

        Args:
            record: what to write of the photograph.
            attempt: whose outcome this is.
            outdated: faces whose records are deleted.
            face: the face that was indexed, if any.
            also: what is written elsewhere with it.

        Raises:
            RecordChanged: the photograph is no longer the one that the attempt began with, or
                another attempt has settled it.
        """
        changes = {
            "status": record.status,
            "faceIds": record.face_ids,
            "reason": record.reason,
            "detail": record.detail,
            "indexedAt": record.indexed_at,
        }
        update = _update(changes, remove=["running.#attempt"])
        update["ExpressionAttributeNames"] |= {"#attempt": attempt}
        update["ExpressionAttributeValues"] |= plain({":unsettled": "registered"})
        if record.etag is None:
            same_content = "attribute_not_exists(etag)"
        else:
            same_content = "etag = :etag"
            update["ExpressionAttributeValues"] |= plain({":etag": record.etag})
        update["ConditionExpression"] = (
            f"attribute_exists(running.#attempt) AND #status = :unsettled AND {same_content}"
        )
        key = plain({"faceId": record.face_id})
        operations: list[Any] = [{"Update": {"TableName": self._table, "Key": key, **update}}]
        if face is not None:
            operations.append({"Put": {"TableName": self._table, "Item": as_item(face)}})
        self._transact([*operations, *self._deletions(outdated), *also])

    def forget(
        self,
        record: PhotographRecord,
        face_ids: Iterable[str] = (),
        also: Sequence[Operation] = (),
    ) -> None:
        """Delete a photograph's record and those of its faces; write elsewhere what goes with it.

        Raises:
            RecordChanged: another attempt has begun or ended since.
        """
        delete = {
            "TableName": self._table,
            "Key": plain({"faceId": record.face_id}),
            **_unchanged_since(record),
        }
        self._transact([{"Delete": delete}, *self._deletions(face_ids), *also])

    def release(self, key: str, attempts: Iterable[str]) -> None:
        """Record that attempts have ended and left nothing behind.

        Raises:
            RecordChanged: somebody has deleted the record meanwhile, or is about to change it.
        """
        names = {f"#a{number}": attempt for number, attempt in enumerate(attempts)}
        if names:
            with self._refusing_change():
                self._client().update_item(
                    TableName=self._table,
                    Key=plain({"faceId": PhotographRecord.id_of(key)}),
                    UpdateExpression="REMOVE " + ", ".join(f"running.{name}" for name in names),
                    ConditionExpression="attribute_exists(running)",
                    ExpressionAttributeNames=names,
                )

    def note_seen(self, person_id: str, day: str, face_id: str | None = None) -> None:
        """Record on which day a person was recognised.

        Of several faces of the person, since any of the photographs may be removed. A face that the
        index of persons does not show yet, or that is just being changed, is new anyway.

        Args:
            person_id: who.
            day: of UTC, ISO 8601.
            face_id: the face as which the person was recognised; it is among those noted.
        """
        faces = sorted(self.of_person(person_id)[1], key=lambda face: face.face_id != face_id)
        for face in faces[:_NOTED]:
            with suppress(RecordChanged), self._refusing_change():
                self._client().update_item(
                    TableName=self._table,
                    Key=plain({"faceId": face.face_id}),
                    UpdateExpression="SET verifiedOn = :day",
                    ConditionExpression="attribute_exists(faceId)",  # else forgotten meanwhile
                    ExpressionAttributeValues=plain({":day": day}),
                )

    def drop(self, face: FaceRecord) -> bool:
        """Delete the record of a face, unless it was written again meanwhile; say whether."""
        try:
            with self._refusing_change():
                self._client().delete_item(
                    TableName=self._table,
                    Key=plain({"faceId": face.face_id}),
                    ConditionExpression="indexedAt = :seen",
                    ExpressionAttributeValues=plain({":seen": face.indexed_at}),
                )
        except RecordChanged:
            return False
        return True

    @contextmanager
    def _refusing_change(self) -> Iterator[None]:
        """Raise RecordChanged where a write finds an item changed, or just being changed."""
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] not in _CHANGED_ITEM:
                raise
            raise RecordChanged from error

    def _deletions(self, face_ids: Iterable[str]) -> list[Any]:
        return [
            {"Delete": {"TableName": self._table, "Key": plain({"faceId": face_id})}}
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

    def _get(self, id_: str, kind: type[R]) -> R | None:
        found = self._client().get_item(
            TableName=self._table, Key=plain({"faceId": id_}), ConsistentRead=True
        )
        return _record(found["Item"], kind) if "Item" in found else None

    def _batch(self, ids: Iterable[str]) -> list[Any]:
        """Read items by their hash keys, 100 to a request."""
        wanted = list(dict.fromkeys(ids))
        items: list[Any] = []
        for start in range(0, len(wanted), _BATCH):
            keys: Any = [plain({"faceId": id_}) for id_ in wanted[start : start + _BATCH]]
            while keys:
                request: Any = {self._table: {"Keys": keys, "ConsistentRead": True}}
                answer: Any = self._client().batch_get_item(RequestItems=request)
                items += answer["Responses"].get(self._table, [])
                keys = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
        return items


# --- DynamoDB's wire format -----------------------------------------------------------------

_serializer = TypeSerializer()


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write values as DynamoDB's attribute values."""
    return {name: _serializer.serialize(value) for name, value in values.items()}


def as_item(record: Struct) -> dict[str, Any]:
    """Write a record as an item of DynamoDB."""
    # DynamoDB's numbers are decimal: the shortest decimal of a float reads back as that float.
    return plain(json.loads(msgspec.json.encode(record), parse_float=Decimal))


def from_item(item: Mapping[str, Any], kind: type[R]) -> R:
    """Read a record from an item of DynamoDB."""
    return msgspec.convert({name: _value(tagged) for name, tagged in item.items()}, kind)


def _record(item: Mapping[str, Any], kind: type[R]) -> R | None:
    """Read a record from an item; None from one that something else has put into the table."""
    try:
        return from_item(item, kind)
    except msgspec.ValidationError:
        return None


def _value(tagged: Mapping[str, Any]) -> Any:
    """Read one of DynamoDB's attribute values of a record.

    boto3's own reading takes three times as long, since its numbers keep 38 digits.
    """
    ((tag, value),) = tagged.items()
    match tag:
        case "N":
            return int(value) if value.isdecimal() else float(value)
        case "M":
            return {name: _value(inner) for name, inner in value.items()}
        case "L":
            return [_value(inner) for inner in value]
    return value


def _unchanged_since(record: PhotographRecord) -> dict[str, Any]:
    """Write the condition that no attempt has begun or ended since a record was read."""
    never = "attribute_exists(faceId) AND attribute_not_exists(attempts)"
    begun = f"(attempts = :seen OR (:seen = :zero AND {never}))"
    ended = "(attribute_not_exists(running) OR running = :ran)"
    ran = _moments(record.running)
    return {
        "ConditionExpression": f"{begun} AND {ended}",
        "ExpressionAttributeValues": plain({":seen": record.attempts, ":zero": 0, ":ran": ran}),
    }


def _moments(running: Mapping[str, float]) -> dict[str, Decimal]:
    """Write times as DynamoDB's numbers, which read back as the same floats."""
    return {attempt: Decimal(str(since)) for attempt, since in running.items()}


def _update(changes: Mapping[str, Any], *more: str, remove: Iterable[str] = ()) -> dict[str, Any]:
    """Write an update expression: set what is given, remove what is None."""
    sets = [f"#{name} = :{name}" for name, value in changes.items() if value is not None]
    removes = [f"#{name}" for name, value in changes.items() if value is None]
    given = {f":{name}": value for name, value in changes.items() if value is not None}
    expression = "SET " + ", ".join([*sets, *more])
    if removes := [*removes, *remove]:
        expression += " REMOVE " + ", ".join(removes)
    return {
        "UpdateExpression": expression,
        "ExpressionAttributeNames": {f"#{name}": name for name in changes},
        "ExpressionAttributeValues": plain(given),
    }
