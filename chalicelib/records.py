"""The records of photographs and faces: one table in DynamoDB.

The table's hash key is ``faceId``. The item of a face has the face's id; the item of a photograph
has ``image#`` and the photograph's key. The index of persons lists the items of one person; it is
updated a moment after the table.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib.items import (
    TransactWriteItem,
    from_item,
    from_own_item,
    to_attributes,
    to_item,
    update_expression,
)
from chalicelib.keys import person_of
from chalicelib.models import FaceRecord, PhotographRecord, StoredPhotograph, now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PERSON_INDEX = "personId-index"

_CHANGED_ITEM = frozenset({"ConditionalCheckFailedException", "TransactionConflictException"})
_PERSON_PAGE = 1000  # items of a person in one page
_BATCH = 100  # keys in one BatchGetItem
_MAX_VERIFIED = 20  # faces of a person that get the day of a verification

R = TypeVar("R", bound=Struct)


class RecordChanged(Exception):
    """Another writer changed the record at the same time: read it again."""


class Records:
    """The table of records.

    Methods raise :class:`botocore.exceptions.ClientError` when DynamoDB refuses a call. Items that
    another program wrote, as there may be in an adopted table, are ignored.
    """

    def __init__(self, client: "Callable[[], DynamoDBClient]", table: str) -> None:
        """Use a table.

        Args:
            client: returns the boto3 client; called on first use.
            table: name of the table.
        """
        self._client = client
        self._table = table

    # --- reading ---

    def photograph(self, key: str) -> PhotographRecord | None:
        """Return the record of a photograph."""
        return self._get(PhotographRecord.id_of(key), PhotographRecord)

    def face(self, face_id: str) -> FaceRecord | None:
        """Return the record of a face."""
        return self._get(face_id, FaceRecord)

    def photographs(self, keys: Iterable[str]) -> dict[str, PhotographRecord]:
        """Return the records of photographs by their keys; keys without a record are left out."""
        items = self._get_batch(PhotographRecord.id_of(key) for key in keys)
        records = (from_own_item(item, PhotographRecord) for item in items)
        return {record.image_key: record for record in records if record}

    def faces(self, face_ids: Iterable[str]) -> dict[str, FaceRecord]:
        """Return the records of faces by their ids; ids without a record are left out."""
        records = (from_own_item(item, FaceRecord) for item in self._get_batch(face_ids))
        return {record.face_id: record for record in records if record}

    def is_registered(self, person_id: str) -> bool:
        """Return whether the index of persons lists anything for a person."""
        found = self._client().query(
            TableName=self._table,
            IndexName=PERSON_INDEX,
            KeyConditionExpression="personId = :person",
            ExpressionAttributeValues=to_attributes({":person": person_id}),
            Select="COUNT",
            Limit=1,
        )
        return found["Count"] > 0

    def page(
        self, person_id: str | None, after: str | None, limit: int
    ) -> tuple[list[PhotographRecord], list[FaceRecord], str | None]:
        """Read up to ``limit`` records of one person, or of everybody, starting after an item.

        Returns:
            The records of photographs, those of faces, and the item to continue after; None at the
            end.
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
                "ExpressionAttributeValues": to_attributes({":person": person_id}),
            }
            start["personId"] = person_id
        if after is not None:
            request["ExclusiveStartKey"] = to_attributes(start)
        found = read(**request)
        photographs, faces = [], []
        for item in found["Items"]:
            if item["faceId"]["S"].startswith(PhotographRecord.id_of("")):
                photographs.append(from_own_item(item, PhotographRecord))
            else:
                faces.append(from_own_item(item, FaceRecord))
        last = found.get("LastEvaluatedKey")
        after = last["faceId"]["S"] if last else None
        return [one for one in photographs if one], [one for one in faces if one], after

    def of_person(self, person_id: str) -> tuple[list[PhotographRecord], list[FaceRecord]]:
        """Return all records that the index of persons lists for a person; new ones may miss."""
        photographs, faces, after = [], [], None
        while True:
            some_photographs, some_faces, after = self.page(person_id, after, _PERSON_PAGE)
            photographs += some_photographs
            faces += some_faces
            if after is None:
                return photographs, faces

    def items_of(self, person_ids: Collection[str]) -> Iterator[tuple[str, str, str]]:
        """Read the whole table for the items of persons, those included that no index lists yet.

        Yields:
            The person id, the hash key, and the key of the photograph of each item.
        """
        prefix = PhotographRecord.id_of("")
        for item in self._scan("faceId, personId, imageKey"):
            id_ = item["faceId"]["S"]
            is_face = not id_.startswith(prefix)
            key = item.get("imageKey", {}).get("S", "") if is_face else id_.removeprefix(prefix)
            person_id: str | None = item.get("personId", {}).get("S") or person_of(key)
            if person_id is not None and person_id in person_ids:
                yield person_id, id_, key

    def active_days(self) -> Iterator[tuple[str, str]]:
        """Read the whole table for the days on which persons were active.

        Yields:
            For each item of a person, the person id and the latest day of registration, indexing
            or verification. The day is empty if the item holds none of them.
        """
        for item in self._scan("personId, registeredAt, indexedAt, verifiedOn"):
            if "personId" in item:
                person_id = item.pop("personId")["S"]
                yield person_id, max((value["S"][:10] for value in item.values()), default="")

    def ids_in_person_index(self) -> Iterator[str]:
        """Yield the hash keys of all items that the index of persons lists."""
        pages = self._client().get_paginator("scan")
        for page in pages.paginate(
            TableName=self._table, IndexName=PERSON_INDEX, ProjectionExpression="faceId"
        ):
            for item in page["Items"]:
                yield item["faceId"]["S"]

    # --- writing ---

    def add_registered(
        self, key: str, person_id: str, name: str, consent: str | None, caller: str | None
    ) -> None:
        """Add the record of a photograph that was just stored, unless indexing was faster."""
        record = PhotographRecord(
            face_id=PhotographRecord.id_of(key),
            person_id=person_id,
            name=name,
            consent=consent,
            caller=caller,
            status="registered",
            registered_at=now(),
        )
        with suppress(RecordChanged), self._raising_record_changed():
            self._client().put_item(
                TableName=self._table,
                Item=to_item(record),
                ConditionExpression="attribute_not_exists(faceId)",
            )

    def start_attempt(
        self,
        before: PhotographRecord | None,
        attempt: str,
        stored: StoredPhotograph | None,
        key: str,
    ) -> PhotographRecord:
        """Record that an attempt starts; the record keeps the faces of earlier ones until its end.

        Args:
            before: the record as it was before ``stored`` was read.
            attempt: id of the attempt.
            stored: the object in S3; None if it is gone.
            key: key of the photograph.

        Returns:
            The new record.

        Raises:
            RecordChanged: the record is not ``before`` any more.
        """
        running = {**(before.running if before else {}), attempt: time.time()}
        versions = dict(before.versions) if before else {}
        if stored is not None and stored.is_kept and stored.version_id is not None:
            known = versions.get(attempt, [])
            versions[attempt] = list(dict.fromkeys([*known, stored.version_id]))
        changes: dict[str, Any] = {
            "status": "registered",
            "etag": stored.etag if stored else None,
            "running": running,
            "versions": versions,
            "isDoubtful": None,
            "attempts": (before.attempts if before else 0) + 1,
        }
        if stored is not None:
            changes |= {
                "personId": person_of(key),
                "name": stored.name or person_of(key),
                "consent": stored.consent,
                "caller": stored.caller,
            }
        update = update_expression(changes, "registeredAt = if_not_exists(registeredAt, :moment)")
        update["ExpressionAttributeValues"] |= to_attributes({":moment": now()})
        if before is None:
            update["ConditionExpression"] = "attribute_not_exists(faceId)"
        else:
            unchanged = _if_unchanged(before)
            update["ConditionExpression"] = unchanged["ConditionExpression"]
            update["ExpressionAttributeValues"] |= unchanged["ExpressionAttributeValues"]
        found = self._update(PhotographRecord.id_of(key), ReturnValues="ALL_NEW", **update)
        return from_item(found["Attributes"], PhotographRecord)

    def finish_attempt(
        self,
        record: PhotographRecord,
        attempt: str,
        *,
        ended: Iterable[str],
        outdated: Iterable[str],
        face: FaceRecord | None,
        also: Sequence[TransactWriteItem] = (),
    ) -> None:
        """Record the outcome of an attempt: all of it, in one transaction.

        Args:
            record: the new record of the photograph.
            attempt: id of the attempt.
            ended: ids of stopped attempts of which nothing is left in the collection.
            outdated: faces whose records are deleted.
            face: the face that was indexed, if any.
            also: writes to other tables.

        Raises:
            RecordChanged: the photograph is not the one that the attempt started with, or another
                attempt has finished it.
        """
        changes = {
            "status": record.status,
            "faceIds": record.face_ids,
            "reason": record.reason,
            "detail": record.detail,
            "indexedAt": record.indexed_at,
        }
        paths, names = _paths_of(record, [attempt, *ended])
        update = update_expression(changes, remove=paths)
        update["ExpressionAttributeNames"] |= names
        update["ExpressionAttributeValues"] |= to_attributes({":unsettled": "registered"})
        if record.etag is None:
            same_content = "attribute_not_exists(etag)"
        else:
            same_content = "etag = :etag"
            update["ExpressionAttributeValues"] |= to_attributes({":etag": record.etag})
        update["ConditionExpression"] = (
            f"attribute_exists(running.#a0) AND #status = :unsettled AND {same_content}"
        )
        key = _key(record.face_id)
        writes: list[Any] = [{"Update": {"TableName": self._table, "Key": key, **update}}]
        if face is not None:
            writes.append({"Put": {"TableName": self._table, "Item": to_item(face)}})
        self._transact([*writes, *self._deletions(outdated), *also])

    def end_attempt(self, record: PhotographRecord, attempt: str, *, is_doubtful: bool) -> None:
        """Record that an attempt has ended and that nothing of it is left in the collection.

        Args:
            record: the record of the photograph.
            attempt: id of the attempt.
            is_doubtful: whether it has deleted faces that another attempt may write down.

        Raises:
            RecordChanged: the record was deleted meanwhile, or another writer is changing it.
        """
        paths, names = _paths_of(record, [attempt])
        changes = {"isDoubtful": True} if is_doubtful else {}
        update = update_expression(changes, remove=paths)
        update["ExpressionAttributeNames"] |= names
        self._update(record.face_id, ConditionExpression="attribute_exists(running)", **update)

    def delete_photograph(
        self,
        record: PhotographRecord,
        face_ids: Iterable[str] = (),
        also: Sequence[TransactWriteItem] = (),
    ) -> None:
        """Delete the records of a photograph and of its faces, in one transaction with ``also``.

        Raises:
            RecordChanged: another attempt has started or ended since ``record`` was read.
        """
        key = _key(record.face_id)
        delete = {"TableName": self._table, "Key": key, **_if_unchanged(record)}
        self._transact([{"Delete": delete}, *self._deletions(face_ids), *also])

    def delete_face(self, face: FaceRecord) -> bool:
        """Delete the record of a face; return False if it was written again meanwhile."""
        try:
            with self._raising_record_changed():
                self._client().delete_item(
                    TableName=self._table,
                    Key=_key(face.face_id),
                    ConditionExpression="indexedAt = :seen",
                    ExpressionAttributeValues=to_attributes({":seen": face.indexed_at}),
                )
        except RecordChanged:
            return False
        return True

    def delete_items(self, ids: Iterable[str]) -> None:
        """Delete items by their hash keys, whatever they hold."""
        for id_ in ids:
            self._client().delete_item(TableName=self._table, Key=_key(id_))

    def note_verified(self, person_id: str, day: str, face_id: str | None = None) -> None:
        """Note on which day a person was recognised.

        Several faces of the person get the note, because any of their photographs may be removed.
        A face that the index does not list yet, or that another writer is changing, gets none: it
        is new anyway.

        Args:
            person_id: the person.
            day: UTC, ISO 8601.
            face_id: the face that was recognised; it gets the note first.
        """
        faces = sorted(self.of_person(person_id)[1], key=lambda face: face.face_id != face_id)
        for face in faces[:_MAX_VERIFIED]:
            with suppress(RecordChanged):
                self._update(
                    face.face_id,
                    UpdateExpression="SET verifiedOn = :day",
                    ConditionExpression="attribute_exists(faceId)",  # it may be forgotten by now
                    ExpressionAttributeValues=to_attributes({":day": day}),
                )

    # --- calls to DynamoDB ---

    @contextmanager
    def _raising_record_changed(self) -> Iterator[None]:
        """Raise RecordChanged if another writer has changed the item or is changing it."""
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] not in _CHANGED_ITEM:
                raise
            raise RecordChanged from error

    def _deletions(self, face_ids: Iterable[str]) -> list[TransactWriteItem]:
        return [{"Delete": {"TableName": self._table, "Key": _key(id_)}} for id_ in face_ids]

    def _update(self, id_: str, **arguments: Any) -> Any:
        with self._raising_record_changed():
            return self._client().update_item(TableName=self._table, Key=_key(id_), **arguments)

    def _transact(self, writes: list[Any]) -> None:
        try:
            self._client().transact_write_items(TransactItems=writes)
        except self._client().exceptions.TransactionCanceledException as error:
            codes = {reason.get("Code") for reason in error.response["CancellationReasons"]}
            if codes <= {"ConditionalCheckFailed", "TransactionConflict", "None", None}:
                raise RecordChanged from error
            raise

    def _get(self, id_: str, kind: type[R]) -> R | None:
        found = self._client().get_item(TableName=self._table, Key=_key(id_), ConsistentRead=True)
        return from_own_item(found["Item"], kind) if "Item" in found else None

    def _get_batch(self, ids: Iterable[str]) -> list[Any]:
        """Read items by their hash keys, 100 in a call."""
        wanted = list(dict.fromkeys(ids))
        items: list[Any] = []
        for start in range(0, len(wanted), _BATCH):
            keys: Any = [_key(id_) for id_ in wanted[start : start + _BATCH]]
            while keys:
                request: Any = {self._table: {"Keys": keys, "ConsistentRead": True}}
                answer: Any = self._client().batch_get_item(RequestItems=request)
                items += answer["Responses"].get(self._table, [])
                keys = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
        return items

    def _scan(self, attributes: str) -> Iterator[dict[str, Any]]:
        """Yield the given attributes of all items, with consistent reads."""
        pages = self._client().get_paginator("scan")
        for page in pages.paginate(
            TableName=self._table, ConsistentRead=True, ProjectionExpression=attributes
        ):
            yield from page["Items"]


def _key(id_: str) -> dict[str, Any]:
    return {"faceId": {"S": id_}}


def _paths_of(record: PhotographRecord, attempts: Sequence[str]) -> tuple[list[str], Any]:
    """Return the paths of attempts in a record, and the names in these paths."""
    names = {f"#a{number}": attempt for number, attempt in enumerate(attempts)}
    paths = [f"running.{name}" for name in names]
    paths += [f"versions.{name}" for name, attempt in names.items() if attempt in record.versions]
    return paths, names


def _if_unchanged(record: PhotographRecord) -> dict[str, Any]:
    """Return the condition that no attempt has started or ended since a record was read."""
    never = "attribute_exists(faceId) AND attribute_not_exists(attempts)"
    none_started = f"(attempts = :seen OR (:seen = :zero AND {never}))"
    none_ended = "(attribute_not_exists(running) OR running = :ran)"
    values = {":seen": record.attempts, ":zero": 0, ":ran": record.running}
    return {
        "ConditionExpression": f"{none_started} AND {none_ended}",
        "ExpressionAttributeValues": to_attributes(values),
    }
