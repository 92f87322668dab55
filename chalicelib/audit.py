"""The audit trail: who was registered when, agreeing to what, by which caller; when forgotten.

It lies in a table of its own, which functions may only add to, and outlasts the records: it holds
no name, no person id, no key and nothing of a face. A person is told by a keyed hash of the
person id (HMAC-SHA-256), so that a trail is found by whoever knows the id, and tells nobody else
whose it is. The hash's key, the salt, is made by the first entry of a stage and kept beside them;
who deletes it makes the trail anonymous for good. It is one item of the same table, under
:data:`SALT`.

Entries are written in the very transaction that changes the records, by convergence: so that each
change has exactly one, however a photograph came or went.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from msgspec import Struct

from chalicelib.storage import Operation, PhotographRecord, as_item, from_item, plain

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Event = Literal["registered", "removed", "forgotten"]
"""A photograph's face was indexed; it was removed; the person was forgotten altogether."""
SALT = "salt"
"""Hash and range key of the item that holds the salt."""


class AuditEntry(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that was done with a person's photograph, or with the person."""

    person: str
    """Keyed hash of the person id."""
    entry: str
    """The table's range key: the moment, and what tells entries of one moment apart."""
    at: str
    event: Event
    photograph: str | None = None
    """Keyed hash of its key: it tells which removal goes with which registration."""
    consent: str | None = None
    """Version of the text that the person had agreed to."""
    caller: str | None = None


class AuditTrail:
    """The table. Methods raise :class:`botocore.exceptions.ClientError` as DynamoDB does."""

    def __init__(self, client: "Callable[[], DynamoDBClient]", table: str) -> None:
        """Take a function that gives the client, so that it is made only when needed."""
        self._client = client
        self._table = table

    def salt(self) -> bytes:
        """Read the salt, or make it. Nobody keeps it: who deletes it wants it gone."""
        return self._read_salt() or self._make_salt()

    def note(self, salt: bytes, event: Event, photograph: PhotographRecord) -> Operation:
        """Write what was done with a photograph, to be carried out with the change itself."""
        return self._put(
            _entry(
                event,
                _hash(salt, photograph.person_id or ""),
                photograph=_hash(salt, photograph.image_key),
                consent=photograph.consent,
                # Who removed a photograph from S3 is not known here; CloudTrail knows.
                caller=photograph.caller if event == "registered" else None,
            )
        )

    def forgotten(self, person_id: str, caller: str | None) -> None:
        """Note that all that was known of a person has been removed."""
        entry = _entry("forgotten", _hash(self.salt(), person_id), caller=caller)
        operation = self._put(entry)
        self._client().put_item(**operation["Put"])

    def of_person(self, person_id: str) -> list[AuditEntry]:
        """Return a person's entries, the oldest first; also of one who was forgotten."""
        pages = (
            self._client()
            .get_paginator("query")
            .paginate(
                TableName=self._table,
                KeyConditionExpression="person = :person",
                ExpressionAttributeValues=plain({":person": _hash(self.salt(), person_id)}),
                ConsistentRead=True,
            )
        )
        return [from_item(item, AuditEntry) for page in pages for item in page["Items"]]

    def all(self) -> Iterator[AuditEntry]:
        """Go through everybody's entries, in no order."""
        pages = (
            self._client()
            .get_paginator("scan")
            .paginate(
                TableName=self._table,
                FilterExpression="person <> :salt",
                ExpressionAttributeValues=plain({":salt": SALT}),
            )
        )
        for page in pages:
            for item in page["Items"]:
                yield from_item(item, AuditEntry)

    def take_over(self, person_id: str, entries: list[AuditEntry]) -> None:
        """Write entries of the same person that another stage has made, under this one's salt."""
        person = _hash(self.salt(), person_id)
        for entry in entries:
            moved = AuditEntry(
                person=person,
                entry=entry.entry,
                at=entry.at,
                event=entry.event,
                photograph=entry.photograph,
                consent=entry.consent,
                caller=entry.caller,
            )
            self._client().put_item(TableName=self._table, Item=as_item(moved))

    def _put(self, entry: AuditEntry) -> Operation:
        return {"Put": {"TableName": self._table, "Item": as_item(entry)}}

    def _read_salt(self) -> bytes | None:
        found = self._client().get_item(
            TableName=self._table,
            Key=plain({"person": SALT, "entry": SALT}),
            ConsistentRead=True,
        )
        return bytes.fromhex(found["Item"]["salt"]["S"]) if "Item" in found else None

    def _make_salt(self) -> bytes:
        made = {"person": SALT, "entry": SALT, "salt": secrets.token_hex(32)}
        # Somebody else may make one at the same time: the first counts.
        with suppress(self._client().exceptions.ConditionalCheckFailedException):
            self._client().put_item(
                TableName=self._table,
                Item=plain(made),
                ConditionExpression="attribute_not_exists(person)",
            )
        salt = self._read_salt()
        assert salt is not None
        return salt


def _entry(event: Event, person: str, **more: str | None) -> AuditEntry:
    moment = datetime.now(UTC)
    entry = f"{moment.isoformat(timespec='microseconds')}#{uuid4().hex}"
    at = moment.isoformat(timespec="seconds")
    return AuditEntry(person=person, entry=entry, at=at, event=event, **more)


def _hash(salt: bytes, text: str) -> str:
    return hmac.new(salt, text.encode(), hashlib.sha256).hexdigest()
