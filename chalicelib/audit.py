"""The audit trail: when a person was registered, by which caller, with which consent; when removed.

The trail is a table of its own. The functions may only add to it, and it outlasts the records. It
holds no name, no person id, no key and nothing of a face. An entry names its person by a keyed hash
of the person id (HMAC-SHA-256): whoever knows the id finds the entries, and nobody else learns
whose they are. The key of the hash is the salt. The first entry of a stage makes it, and it is kept
as an item of the same table, under :data:`SALT`. Deleting that item makes the trail anonymous for
good.

Convergence writes an entry in the same transaction that changes the records. So each change has
exactly one entry, however the photograph came or went.
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
from msgspec.structs import replace

from chalicelib.items import TransactWriteItem, from_item, to_attributes, to_item
from chalicelib.models import PhotographRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Event = Literal["registered", "removed", "forgotten"]
"""A photograph's face was indexed; it was removed; everything of the person was deleted."""
SALT = "salt"
"""Hash and range key of the item that holds the salt."""


class AuditEntry(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An event in the life of a photograph or of a person."""

    person: str
    """Keyed hash of the person id."""
    entry: str
    """The table's range key: the moment, and a random part that keeps entries apart."""
    at: str
    event: Event
    photograph: str | None = None
    """Keyed hash of the photograph's key: it shows which removal belongs to which registration."""
    consent: str | None = None
    """Version of the text that the person had agreed to."""
    caller: str | None = None


class AuditTrail:
    """The table of the audit trail.

    Methods raise :class:`botocore.exceptions.ClientError` when DynamoDB refuses a call.
    """

    def __init__(self, client: "Callable[[], DynamoDBClient]", table: str) -> None:
        """Use a table.

        Args:
            client: returns the boto3 client; called on first use.
            table: name of the table.
        """
        self._client = client
        self._table = table

    def salt(self) -> bytes:
        """Return the salt, and make it first if there is none.

        No process keeps the salt: once it is deleted, it must be gone.
        """
        return self._read_salt() or self._make_salt()

    def entry_write(
        self, salt: bytes, event: Event, photograph: PhotographRecord
    ) -> TransactWriteItem:
        """Return the write of an entry about a photograph, for the transaction of the change."""
        entry = _entry(
            event,
            _hash(salt, photograph.person_id or ""),
            photograph=_hash(salt, photograph.image_key),
            consent=photograph.consent,
            # S3 does not tell who removed a photograph; CloudTrail does.
            caller=photograph.caller if event == "registered" else None,
        )
        return {"Put": {"TableName": self._table, "Item": to_item(entry)}}

    def add_forgotten(self, person_id: str, caller: str | None) -> None:
        """Add the entry that everything about a person was deleted."""
        self._put(_entry("forgotten", _hash(self.salt(), person_id), caller=caller))

    def of_person(self, person_id: str) -> list[AuditEntry]:
        """Return the entries of a person, the oldest first; those of a forgotten person too."""
        pages = self._client().get_paginator("query")
        query = pages.paginate(
            TableName=self._table,
            KeyConditionExpression="person = :person",
            ExpressionAttributeValues=to_attributes({":person": _hash(self.salt(), person_id)}),
            ConsistentRead=True,
        )
        return [from_item(item, AuditEntry) for page in query for item in page["Items"]]

    def all(self) -> Iterator[AuditEntry]:
        """Yield the entries of all persons, in no particular order."""
        pages = self._client().get_paginator("scan")
        scan = pages.paginate(
            TableName=self._table,
            FilterExpression="person <> :salt",
            ExpressionAttributeValues=to_attributes({":salt": SALT}),
        )
        for page in scan:
            for item in page["Items"]:
                yield from_item(item, AuditEntry)

    def import_entries(self, person_id: str, entries: list[AuditEntry]) -> None:
        """Add a person's entries from another stage, under the salt of this one."""
        person = _hash(self.salt(), person_id)
        for entry in entries:
            self._put(replace(entry, person=person))

    def _put(self, entry: AuditEntry) -> None:
        self._client().put_item(TableName=self._table, Item=to_item(entry))

    def _read_salt(self) -> bytes | None:
        found = self._client().get_item(
            TableName=self._table,
            Key=to_attributes({"person": SALT, "entry": SALT}),
            ConsistentRead=True,
        )
        return bytes.fromhex(found["Item"]["salt"]["S"]) if "Item" in found else None

    def _make_salt(self) -> bytes:
        item = {"person": SALT, "entry": SALT, "salt": secrets.token_hex(32)}
        # Another process may make one at the same time: the first one counts.
        with suppress(self._client().exceptions.ConditionalCheckFailedException):
            self._client().put_item(
                TableName=self._table,
                Item=to_attributes(item),
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
