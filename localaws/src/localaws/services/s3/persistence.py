"""S3 on disk: buckets, versions of objects, and multipart uploads as rows of a database."""

import itertools
import json
import weakref
import zlib
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from moto.s3.models import (
    FakeBucket,
    FakeDeleteMarker,
    FakeKey,
    FakeMultipart,
    S3Backend,
    s3_backends,
)
from moto.s3.utils import _VersionedKeyStore

from localaws.account import ACCOUNT_ID
from localaws.database import Database, Statement
from localaws.errors import damaged
from localaws.pickling import pickled, unpickled

SCHEMA: Final = """
CREATE TABLE buckets (name TEXT PRIMARY KEY, state BLOB NOT NULL, tags TEXT NOT NULL);
CREATE TABLE objects (
    id INTEGER PRIMARY KEY,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    position INTEGER NOT NULL,  -- among the versions of the key, the oldest first
    state BLOB NOT NULL,
    tags TEXT NOT NULL
);
CREATE INDEX versions_of_objects ON objects (bucket, key);
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    bucket TEXT NOT NULL,
    state BLOB NOT NULL
);
CREATE TABLE parts (
    id INTEGER PRIMARY KEY,
    upload TEXT NOT NULL,
    number INTEGER NOT NULL,
    state BLOB NOT NULL
);
CREATE INDEX parts_of_uploads ON parts (upload);
CREATE TABLE bodies (id INTEGER PRIMARY KEY, content BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TRIGGER body_of_object AFTER DELETE ON objects BEGIN
    DELETE FROM bodies WHERE id = old.id;
END;
CREATE TRIGGER body_of_part AFTER DELETE ON parts BEGIN
    DELETE FROM bodies WHERE id = old.id;
END;
"""
TABLES: Final = ("buckets", "objects", "uploads", "parts")

T = TypeVar("T")
Version = FakeKey | FakeDeleteMarker
_Written = tuple[FakeKey, int]
"""An object or a part with a new body, and its number."""


class S3Store:
    """Writes the changes of requests to S3, and reads everything back.

    One thread at a time may use it.

    Args:
        database: has the tables of ``SCHEMA``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: weakref.WeakKeyDictionary[Version, int] = weakref.WeakKeyDictionary()
        self._buckets: dict[str, tuple[bytes, str]] = {}
        self._uploads: dict[str, list[int]] = {}
        self._next_id = itertools.count(1)

    @property
    def _backend(self) -> S3Backend:
        return s3_backends[ACCOUNT_ID]["aws"]

    # --- writing ------------------------------------------------------------------------------

    def call(self, answer: Callable[[], T]) -> tuple[T, list[Statement], Callable[[], None]]:
        """Let moto answer a request, and collect the changes.

        Args:
            answer: lets moto answer.

        Returns:
            The result of ``answer``, the statements that write the changes, and a function to call
            when the statements are on disk.
        """
        looked_up: set[tuple[int, str]] = set()
        token = _looked_up.set(looked_up)
        try:
            answered = answer()
        finally:
            _looked_up.reset(token)
        stores = {id(bucket.keys): bucket for bucket in self._backend.buckets.values()}
        statements = list(self._bucket_statements())
        written: list[_Written] = []
        for store, key in sorted(looked_up):
            if store in stores:
                statements += self._object_statements(stores[store], key, written)
        statements += self._upload_statements(written)
        return answered, statements, lambda: self._move_bodies_out_of_memory(written)

    def _bucket_statements(self) -> Iterable[Statement]:
        """Yield statements for the buckets whose own attributes have changed."""
        backend = self._backend
        known, self._buckets = self._buckets, {}
        for name, bucket in backend.buckets.items():
            tags = json.dumps(backend.tagger.tags.get(bucket.arn))
            self._buckets[name] = pickled(bucket), tags
            if self._buckets[name] != known.pop(name, None):
                row = (name, *self._buckets[name])
                yield "INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)", row
        for name in known:
            yield "DELETE FROM buckets WHERE name = ?", (name,)
            yield "DELETE FROM objects WHERE bucket = ?", (name,)

    def _object_statements(
        self, bucket: FakeBucket, key: str, written: list[_Written]
    ) -> Iterable[Statement]:
        """Yield statements for all versions of an object; add new versions to ``written``."""
        versions: list[Version] = _lists(bucket.keys).get(key, [])
        known = [self._ids.get(version) for version in versions]
        kept = [number for number in known if number is not None]
        yield (
            "DELETE FROM objects WHERE bucket = ? AND key = ? AND id NOT IN"
            " (SELECT value FROM json_each(?))",
            (bucket.name, key, json.dumps(kept)),
        )
        for position, version in enumerate(versions):
            if version not in self._ids:
                yield from self._body_statements(version, written)
            tags = self._backend.tagger.tags.get(_arn(version))
            yield (
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?)",
                (
                    self._ids[version],
                    bucket.name,
                    key,
                    position,
                    pickled(version),
                    json.dumps(tags),
                ),
            )

    def _body_statements(self, version: Version, written: list[_Written]) -> Iterable[Statement]:
        """Number an object or a part, and yield the statement for its body."""
        self._ids[version] = number = next(self._next_id)
        if isinstance(version, FakeKey):
            body = version.value
            written.append((version, number))
            yield "INSERT INTO bodies VALUES (?, ?, ?)", (number, body, zlib.crc32(body))

    def _upload_statements(self, written: list[_Written]) -> Iterable[Statement]:
        """Yield statements for the multipart uploads that have begun, grown or ended."""
        known, self._uploads = self._uploads, {}
        for bucket in self._backend.buckets.values():
            for upload in bucket.multiparts.values():
                before = known.pop(upload.id, None)
                if before is None:
                    row = (upload.id, bucket.name, pickled(_without_parts(upload)))
                    yield "INSERT INTO uploads VALUES (?, ?, ?)", row
                for number, part in upload.parts.items():
                    if part not in self._ids:
                        yield (
                            "DELETE FROM parts WHERE upload = ? AND number = ?",
                            (upload.id, number),
                        )
                        yield from self._body_statements(part, written)
                        new = (self._ids[part], upload.id, number, pickled(part))
                        yield "INSERT INTO parts VALUES (?, ?, ?, ?)", new
                self._uploads[upload.id] = list(upload.parts)
        for upload_id in known:
            yield "DELETE FROM parts WHERE upload = ?", (upload_id,)
            yield "DELETE FROM uploads WHERE id = ?", (upload_id,)

    def _move_bodies_out_of_memory(self, written: Iterable[_Written]) -> None:
        for key, number in written:
            self._keep_body_on_disk(key, number)

    def _keep_body_on_disk(self, key: FakeKey, number: int) -> None:
        with key.lock:
            if not key.disposed:
                key._value_buffer.close()
                key._value_buffer = _BodyOnDisk(self._database, number)  # type: ignore[assignment]

    # --- reading ------------------------------------------------------------------------------

    def load(self) -> None:
        """Put everything on disk into moto, and nothing else.

        Readers see the state before or the state after, and none between them.

        Raises:
            DataUnusable: the file is damaged.
        """
        path = self._database.path
        self.forget()
        buckets: dict[str, FakeBucket] = {}
        all_tags: dict[str, Any] = {}
        for name, state, tags in self._database.scan("SELECT * FROM buckets"):
            bucket = buckets[name] = unpickled(state, path)
            self._buckets[name] = state, tags
            if json.loads(tags):
                all_tags[bucket.arn] = json.loads(tags)
        last = 0
        for number, name, key, state, tags in self._database.scan(
            "SELECT id, bucket, key, state, tags FROM objects ORDER BY bucket, key, position"
        ):
            version = unpickled(state, path)
            buckets[name].keys[key] = version
            if json.loads(tags):
                all_tags[_arn(version)] = json.loads(tags)
            self._restore(version, number)
            last = max(last, number)
        for upload_id, name, state in self._database.scan("SELECT * FROM uploads"):
            buckets[name].multiparts[upload_id] = unpickled(state, path)
            self._uploads[upload_id] = []
        uploads = {u.id: u for b in buckets.values() for u in b.multiparts.values()}
        for number, upload_id, part, state in self._database.scan(
            "SELECT id, upload, number, state FROM parts ORDER BY number"
        ):
            upload = uploads[upload_id]
            upload.parts[part] = unpickled(state, path)
            upload.partlist.append(part)
            self._restore(upload.parts[part], number)
            last = max(last, number)
        self._next_id = itertools.count(last + 1)
        backend = self._backend
        for name in backend.buckets.keys() - buckets.keys():
            s3_backends.bucket_accounts.pop(name, None)
        s3_backends.bucket_accounts.update(dict.fromkeys(buckets, ("aws", ACCOUNT_ID)))
        backend.tagger.tags = all_tags
        backend.buckets = buckets

    def _restore(self, version: Version, number: int) -> None:
        self._ids[version] = number
        if isinstance(version, FakeKey):
            self._keep_body_on_disk(version, number)

    def forget(self) -> None:
        """Forget all rows, after moto and the database have been emptied."""
        self._ids.clear()
        self._buckets.clear()
        self._uploads.clear()


class _BodyOnDisk:
    """Stands in for moto's temporary file with the body of an object or a part."""

    def __init__(self, database: Database, number: int) -> None:
        self._database = database
        self._number = number
        self._position = 0

    def seek(self, position: int) -> None:
        self._position = position

    def read(self, size: int = -1) -> bytes:
        rows = self._database.read(
            "SELECT content, checksum FROM bodies WHERE id = ?", (self._number,)
        )
        if not rows:
            raise ValueError("the object has been deleted")
        content, checksum = rows[0]
        if zlib.crc32(content) != checksum:
            raise damaged(self._database.path, f"body {self._number}")
        end = len(content) if size < 0 else self._position + size
        found: bytes = content[self._position : end]
        self._position += len(found)
        return found

    def close(self) -> None:
        """Do nothing: a trigger deletes the row with its object."""


def _lists(store: _VersionedKeyStore) -> dict[str, list[Version]]:
    """Return the versions by key, without ``get_item``, which would note every key."""
    return {key: dict.__getitem__(store, key) for key in dict.keys(store)}


def _arn(version: Version) -> str:
    key = version.key if isinstance(version, FakeDeleteMarker) else version
    return str(key.arn)


def _without_parts(upload: FakeMultipart) -> FakeMultipart:
    bare = object.__new__(FakeMultipart)
    vars(bare).update({**vars(upload), "parts": {}, "partlist": []})
    return bare


# --- replacement of a method of moto, see localaws.moto_patches --------------------------------

_looked_up: ContextVar[set[tuple[int, str]] | None] = ContextVar("s3_looked_up", default=None)
_moto_get_item = _VersionedKeyStore.__sgetitem__


def get_item(self: _VersionedKeyStore, key: str) -> Any:
    """Stand in for ``_VersionedKeyStore.__sgetitem__``: note every object that is looked up.

    All look-ups go through this method, and moto looks an object up before it changes it.
    """
    looked_up = _looked_up.get()
    if looked_up is not None:
        looked_up.add((id(self), key))
    return _moto_get_item(self, key)
