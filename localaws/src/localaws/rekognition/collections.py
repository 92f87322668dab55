"""Face collections, their tags, and all state of the service.

The state is stored in one database; ``faces`` and ``users`` define tables of it. Every change is a
transaction, and the change is on disk before the request is answered.
"""

import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from localaws.database import Change, Database
from localaws.rekognition import faces, idempotency, models, users
from localaws.rekognition.exceptions import (
    ResourceAlreadyExistsException,
    ResourceNotFoundException,
    ServiceQuotaExceededException,
)
from localaws.rekognition.faces import Faces, Lag, read_vectors
from localaws.rekognition.users import Users

T = TypeVar("T")

FACE_MODEL_VERSION: Final = "7.0"
MAX_TAGS: Final = 200

_SCHEMA: Final = """
CREATE TABLE collections (
    key INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order of creation
    collection_id TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL
);
CREATE TABLE tags (
    collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (collection, name)
) WITHOUT ROWID;
"""
# The name contains the model, because vectors of different models cannot be compared.
_WRITTEN_BY: Final = f"localaws.rekognition 1 with the face model {models.SFACE.sha256[:16]}"


class Collection:
    """A face collection. Safe to share between threads.

    Args:
        database: the database.
        key: the position of the collection in the order of creation; its key in the database.
        collection_id: the name of the collection.
        created_at: time of creation, in seconds since 1970.
        lag: hides new faces from listings and searches.
    """

    def __init__(
        self, database: Database, key: int, collection_id: str, created_at: float, lag: Lag
    ) -> None:
        self.key = key
        self.collection_id = collection_id
        self.created_at = created_at
        self.faces = Faces(database, key, lag)
        self.users = Users(database, key, self.faces)
        self._database = database

    def write(self, change: Change[T]) -> T:
        """Make a change to the collection, and return its result once the change is on disk.

        Raises:
            ResourceNotFoundException: the collection was deleted in the meantime.
        """

        def change_if_present(connection: sqlite3.Connection) -> T:
            rows = connection.execute("SELECT 1 FROM collections WHERE key = ?", (self.key,))
            if rows.fetchone() is None:
                raise _no_such_collection(self.collection_id)
            return change(connection)

        return self._database.write(change_if_present)

    def tags(self) -> dict[str, str]:
        """Return the collection's tags."""
        statement = "SELECT name, value FROM tags WHERE collection = ?"
        return dict(self._database.read(statement, (self.key,)))

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add tags, or change their values.

        Raises:
            ServiceQuotaExceededException: the collection would have more than ``MAX_TAGS`` tags.
        """
        self.write(lambda connection: _add_tags(connection, self.key, tags))

    def untag(self, names: Sequence[str]) -> None:
        """Remove tags. Unknown names are ignored."""
        statement = "DELETE FROM tags WHERE collection = ? AND name = ?"
        rows = [(self.key, name) for name in names]
        self.write(lambda connection: connection.executemany(statement, rows) and None)


class Collections:
    """All face collections. Safe to share between threads.

    Args:
        path: the database file, created if missing. None keeps all data in memory only.

    Raises:
        localaws.errors.DataUnusable: the file is damaged, or was written with another face model.
    """

    def __init__(self, path: Path | None = None) -> None:
        schema = _SCHEMA + users.SCHEMA + faces.SCHEMA + idempotency.SCHEMA
        self._database = Database(path, schema, _WRITTEN_BY)
        self._lock = threading.Lock()
        self._collections: dict[str, Collection] = {}
        self.lag = Lag()
        if path is not None:
            self._database.check("collections", "tags", "users", "faces")
            self._load()

    def _load(self) -> None:
        """Read all vectors into memory."""
        rows = self._database.read("SELECT key, collection_id, created_at FROM collections")
        by_key = {
            key: Collection(self._database, key, collection_id, created_at, self.lag)
            for key, collection_id, created_at in rows
        }
        totals: dict[tuple[int, int], NDArray[np.float32]] = {}
        for collection, key, user, vector in read_vectors(self._database):
            by_key[collection].faces.load(key, vector)
            if user is not None:
                total = totals.get((collection, user))
                totals[collection, user] = vector if total is None else total + vector
        for (collection, user), total in totals.items():
            by_key[collection].users.load(user, total)
        self._collections = {by_key[key].collection_id: by_key[key] for key in sorted(by_key)}

    def create(self, collection_id: str, tags: Mapping[str, str]) -> Collection:
        """Create an empty collection.

        Raises:
            ResourceAlreadyExistsException: a collection with this id exists.
            ServiceQuotaExceededException: there are more than ``MAX_TAGS`` tags.
        """

        def create(connection: sqlite3.Connection) -> Collection:
            created_at = time.time()
            try:
                key = connection.execute(
                    "INSERT INTO collections (collection_id, created_at) VALUES (?, ?)",
                    (collection_id, created_at),
                ).lastrowid
            except sqlite3.IntegrityError as error:
                raise ResourceAlreadyExistsException(
                    f"The collection id: {collection_id} already exists"
                ) from error
            assert key is not None
            _add_tags(connection, key, tags)
            collection = Collection(self._database, key, collection_id, created_at, self.lag)
            self._replace({**self._collections, collection_id: collection})
            return collection

        return self._database.write(create)

    def get(self, collection_id: str) -> Collection:
        """Return a collection, given its id.

        Raises:
            ResourceNotFoundException: no collection has this id.
        """
        with self._lock:
            if collection_id not in self._collections:
                raise _no_such_collection(collection_id)
            return self._collections[collection_id]

    def delete(self, collection_id: str) -> None:
        """Delete a collection with its tags, users and faces.

        Raises:
            ResourceNotFoundException: no collection has this id.
        """

        def delete(connection: sqlite3.Connection) -> None:
            collection = self.get(collection_id)
            connection.execute("DELETE FROM faces WHERE collection = ?", (collection.key,))
            connection.execute("DELETE FROM collections WHERE key = ?", (collection.key,))
            left = {i: c for i, c in self._collections.items() if i != collection_id}
            self._replace(left)

        self._database.write(delete)

    def page(self, after: int, limit: int) -> list[Collection]:
        """Return at most ``limit`` collections after a position, in the order of creation.

        Args:
            after: the key of the last collection of the previous page; 0 for the first page.
            limit: the maximum number of collections to return.
        """
        with self._lock:
            later = (c for c in self._collections.values() if c.key > after)
            return list(islice(later, limit))

    def clear(self) -> None:
        """Delete all collections."""

        def clear(connection: sqlite3.Connection) -> None:
            for table in ("answers", "faces", "users", "tags", "collections"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a constant
            self._replace({})

        self._database.write(clear)

    def _replace(self, collections: dict[str, Collection]) -> None:
        """Replace the collections in memory. Call it inside a transaction."""
        before = self._collections

        def put(new: dict[str, Collection]) -> None:
            with self._lock:
                self._collections = new

        put(collections)
        self._database.if_undone(lambda: put(before))

    def close(self) -> None:
        """Close the database. The collections cannot be used afterwards."""
        self._database.close()


def _add_tags(connection: sqlite3.Connection, collection: int, tags: Mapping[str, str]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO tags VALUES (?, ?, ?)",
        [(collection, name, value) for name, value in tags.items()],
    )
    statement = "SELECT count(*) FROM tags WHERE collection = ?"
    if connection.execute(statement, (collection,)).fetchone()[0] > MAX_TAGS:
        raise ServiceQuotaExceededException(f"A resource can have {MAX_TAGS} tags")


def _no_such_collection(collection_id: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"The collection id: {collection_id} does not exist")
