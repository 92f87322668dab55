"""The faces of a collection: store them, and find similar ones.

Each face is a row of the database. A matrix in memory holds its vector, for searches. A database on
disk stores the vector as well.
"""

import itertools
import sqlite3
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from localaws.database import Database, Row
from localaws.errors import damaged
from localaws.rekognition import calibration
from localaws.rekognition.engine import VECTOR_LENGTH
from localaws.rekognition.exceptions import InvalidParameterException
from localaws.rekognition.geometry import Box
from localaws.rekognition.vectors import VectorIndex

SCHEMA: Final = """
CREATE TABLE faces (
    key INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order of insertion
    collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
    face_id BLOB NOT NULL UNIQUE,
    image_id BLOB NOT NULL,
    external_image_id TEXT,
    box_left REAL NOT NULL,
    box_top REAL NOT NULL,
    box_width REAL NOT NULL,
    box_height REAL NOT NULL,
    confidence REAL NOT NULL,
    vector BLOB,
    checksum INTEGER NOT NULL,
    user INTEGER REFERENCES users
);
CREATE INDEX faces_of_collection ON faces (collection);
CREATE INDEX faces_of_image ON faces (image_id);
CREATE INDEX faces_of_user ON faces (user);
"""

# The + in "+f.collection" keeps SQLite from using the index on collection, which would read all
# faces of the collection first.
_SELECT: Final = """
SELECT f.key, f.face_id, f.image_id, f.external_image_id, f.box_left, f.box_top, f.box_width,
    f.box_height, f.confidence, u.user_id
FROM faces f LEFT JOIN users u ON u.key = f.user
"""
# Values per statement. Every version of SQLite can bind this many.
_BATCH: Final = 500
_STORED_VECTOR: Final = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class IndexedFace:
    """A face in a collection."""

    key: int
    """The position of the face in the order of insertion."""
    face_id: str
    image_id: str
    external_image_id: str | None
    bounding_box: Box
    """As ratios of the image's sides."""
    confidence: float
    """0 to 100."""
    user_id: str | None = None
    """The user that the face is associated with."""


@dataclass(frozen=True, slots=True, eq=False)
class NewFace:
    """A face to add to a collection."""

    image_id: str
    external_image_id: str | None
    bounding_box: Box
    """As ratios of the image's sides."""
    confidence: float
    """0 to 100."""
    vector: NDArray[np.float32]
    """Shape (128,), length 1."""


@dataclass(frozen=True, slots=True)
class FaceMatch:
    """A face of a collection, and its similarity to the face searched for."""

    face: IndexedFace
    similarity: float
    """0 to 100."""


class Lag:
    """How long listings and searches do not show a new face. Safe to share between threads.

    AWS does not promise that they show a face as soon as IndexFaces has answered. IndexFaces itself
    saves no duplicate of it.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._indexed: dict[int, float] = {}
        """Moments by the keys of faces, the oldest first."""

    def note(self, key: int) -> None:
        """Note that a face is indexed now."""
        if self.seconds:
            with self._lock:
                self._indexed[key] = time.monotonic()

    def hidden(self) -> set[int]:
        """Return the keys of the faces that are not shown yet."""
        limit = time.monotonic() - self.seconds
        with self._lock:
            self._indexed = {key: at for key, at in self._indexed.items() if at > limit}
            return set(self._indexed)


class Faces:
    """The faces of one collection. Safe to share between threads.

    Methods with a parameter ``connection`` run inside a transaction; see ``Database.write``. The
    matrix may contain faces whose rows are not on disk yet. A search returns only faces that have
    both a vector and a row.

    Args:
        database: the database with the tables of ``SCHEMA``.
        collection: the key of the collection.
        lag: hides new faces from listings and searches.
    """

    def __init__(self, database: Database, collection: int, lag: Lag) -> None:
        self._database = database
        self._collection = collection
        self._lag = lag
        self._lock = threading.Lock()
        self._vectors = VectorIndex(VECTOR_LENGTH)

    def __len__(self) -> int:
        with self._lock:
            return len(self._vectors)

    def load(self, key: int, vector: NDArray[np.float32]) -> None:
        """Add the vector of a stored face to the matrix.

        Args:
            key: the key of the face.
            vector: shape (128,), length 1.
        """
        self._vectors.add(key, vector)

    def add(self, connection: sqlite3.Connection, faces: Iterable[NewFace]) -> list[IndexedFace]:
        """Store the faces of an image, and return them with their ids.

        A face that was stored before, from the same image with the same ExternalImageId, is not
        stored again; the stored face is returned. Without ExternalImageId, every face is new.
        """
        return [
            self._find_duplicate(connection, face) or self._insert(connection, face)
            for face in faces
        ]

    def _find_duplicate(self, connection: sqlite3.Connection, face: NewFace) -> IndexedFace | None:
        """Return the stored face of the same image, box and ExternalImageId, or None.

        The box identifies a face in its image, because the same image always gives the same boxes.
        """
        if face.external_image_id is None:
            return None
        rows = connection.execute(
            f"{_SELECT} WHERE f.image_id = ? AND f.external_image_id = ? AND +f.collection = ?"
            " AND f.box_left = ? AND f.box_top = ? AND f.box_width = ? AND f.box_height = ?",
            (
                uuid.UUID(face.image_id).bytes,
                face.external_image_id,
                self._collection,
                *_box_values(face.bounding_box),
            ),
        )
        return next(map(_face, rows), None)

    def _insert(self, connection: sqlite3.Connection, face: NewFace) -> IndexedFace:
        face_id = uuid.uuid4()
        constants = (
            face_id.bytes,
            uuid.UUID(face.image_id).bytes,
            face.external_image_id,
            *_box_values(face.bounding_box),
            face.confidence,
        )
        vector = face.vector.astype(_STORED_VECTOR).tobytes() if self._database.path else None
        key = connection.execute(
            "INSERT INTO faces (collection, face_id, image_id, external_image_id, box_left,"
            " box_top, box_width, box_height, confidence, vector, checksum)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self._collection, *constants, vector, _checksum(constants, vector or b"")),
        ).lastrowid
        assert key is not None
        with self._lock:
            self._vectors.add(key, face.vector)
        self._lag.note(key)
        self._database.if_undone(partial(self._drop, [key]))
        return IndexedFace(
            key,
            str(face_id),
            face.image_id,
            face.external_image_id,
            face.bounding_box,
            face.confidence,
        )

    def remove(self, connection: sqlite3.Connection, faces: Sequence[IndexedFace]) -> None:
        """Delete stored faces."""
        keys = [face.key for face in faces]
        connection.executemany("DELETE FROM faces WHERE key = ?", [(key,) for key in keys])
        with self._lock:
            removed = self._vectors.remove(keys)
        self._database.if_undone(partial(self._put_back, removed))

    def _drop(self, keys: Sequence[int]) -> None:
        with self._lock:
            self._vectors.remove(keys)

    def _put_back(self, vectors: dict[int, NDArray[np.float32]]) -> None:
        with self._lock:
            for key, vector in vectors.items():
                self._vectors.add(key, vector)

    def find(
        self, face_ids: Iterable[str], connection: sqlite3.Connection | None = None
    ) -> dict[str, IndexedFace]:
        """Return the faces of the collection with these ids, by id. Unknown ids are left out."""
        wanted = [uuid.UUID(face_id).bytes for face_id in face_ids]
        found = self._select("f.face_id", wanted, connection)
        return {face.face_id: face for face in found}

    def _select(
        self, column: str, values: Sequence[Any], connection: sqlite3.Connection | None = None
    ) -> list[IndexedFace]:
        """Return the faces of the collection whose ``column`` has one of ``values``."""
        found: list[IndexedFace] = []
        for start in range(0, len(values), _BATCH):
            batch = values[start : start + _BATCH]
            statement = (
                f"{_SELECT} WHERE {column} IN ({', '.join('?' * len(batch))}) AND +f.collection = ?"
            )
            parameters = (*batch, self._collection)
            if connection is None:
                rows = self._database.read(statement, parameters)
            else:
                rows = connection.execute(statement, parameters).fetchall()
            found += map(_face, rows)
        return found

    def page(
        self,
        after: int,
        limit: int,
        *,
        face_ids: Iterable[str] | None = None,
        user: int | None = None,
    ) -> list[IndexedFace]:
        """Return the faces after a position, in the order of insertion.

        Args:
            after: the key of the last face of the previous page; 0 for the first page.
            limit: the maximum number of faces to return.
            face_ids: return only faces with these ids; None returns all.
            user: return only faces associated with the user of this key; None returns all.
        """
        hidden = self._lag.hidden()
        if face_ids is not None:
            found = [face for face in self.find(face_ids).values() if face.key not in hidden]
            mine = {face.key for face in self.of_user(user)} if user is not None else None
            chosen = [f for f in found if f.key > after and (mine is None or f.key in mine)]
            return sorted(chosen, key=lambda face: face.key)[:limit]
        column, value = ("collection", self._collection) if user is None else ("user", user)
        rows = self._database.read(
            f"{_SELECT} WHERE f.{column} = ? AND f.key > ? ORDER BY f.key LIMIT ?",
            (value, after, limit),
        )
        return [face for face in map(_face, rows) if face.key not in hidden]

    def of_user(self, user: int, connection: sqlite3.Connection | None = None) -> list[IndexedFace]:
        """Return the faces associated with a user, given the user's key."""
        return self._select("f.user", [user], connection)

    def vector(self, face: IndexedFace) -> NDArray[np.float32] | None:
        """Return the vector of a face, or None if the face was deleted in the meantime."""
        with self._lock:
            try:
                return self._vectors[face.key]
            except KeyError:
                return None

    def search(self, vector: NDArray[np.float32], threshold: float, limit: int) -> list[FaceMatch]:
        """Return the faces similar to a vector, most similar first.

        Args:
            vector: shape (128,), length 1.
            threshold: the minimum similarity, 0 to 100.
            limit: the maximum number of faces to return.
        """
        hidden = self._lag.hidden()
        with self._lock:
            nearest = nearest_keys(self._vectors, vector, threshold, limit + len(hidden))
        shown = [key for key in nearest if key not in hidden][:limit]
        faces = {face.key: face for face in self._select("f.key", shown)}
        return [
            FaceMatch(faces[key], similarity) for key, similarity in nearest.items() if key in faces
        ]

    def search_by_face(self, face_id: str, threshold: float, limit: int) -> list[FaceMatch]:
        """Return the other faces similar to a face of the collection, most similar first.

        Args:
            face_id: the id of the face.
            threshold: the minimum similarity, 0 to 100.
            limit: the maximum number of faces to return.

        Raises:
            InvalidParameterException: the collection has no face with this id.
        """
        matches = self.search(self.vector_of(face_id), threshold, limit + 1)
        return [match for match in matches if match.face.face_id != face_id][:limit]

    def vector_of(self, face_id: str) -> NDArray[np.float32]:
        """Return the vector of a face, shape (128,), given its id.

        Raises:
            InvalidParameterException: the collection has no face with this id.
        """
        face = self.find([face_id]).get(face_id)
        vector = self.vector(face) if face else None
        if vector is None:
            raise InvalidParameterException("faceId was not found in the collection.")
        return vector


def nearest_keys(
    index: VectorIndex, vector: NDArray[np.float32], threshold: float, limit: int
) -> dict[int, float]:
    """Return the keys of the vectors similar to a vector, and their similarities, best first."""
    nearest = (
        (found.key, calibration.similarity(found.cosine)) for found in index.search(vector, limit)
    )
    return dict(itertools.takewhile(lambda match: match[1] >= threshold, nearest))


def read_vectors(
    database: Database,
) -> Iterable[tuple[int, int, int | None, NDArray[np.float32]]]:
    """Yield collection key, face key, user key and vector of every stored face.

    Raises:
        DataUnusable: the checksum of a face does not match.
    """
    for collection, key, user, vector, checksum, *constants in database.scan(
        "SELECT collection, key, user, vector, checksum, face_id, image_id, external_image_id,"
        " box_left, box_top, box_width, box_height, confidence FROM faces ORDER BY key"
    ):
        if _checksum(constants, vector) != checksum:
            raise damaged(database.path, f"face {key}")
        yield collection, key, user, np.frombuffer(vector, _STORED_VECTOR)


def _checksum(constants: Sequence[Any], vector: bytes) -> int:
    """Return a checksum of the columns of a face that never change."""
    face_id, image_id, external_image_id, *numbers = constants
    packed = struct.pack("<5d", *numbers)
    text = (external_image_id or "").encode()
    return zlib.crc32(b"".join((vector, face_id, image_id, packed, text)))


def _box_values(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.width, box.height


def _face(row: Row) -> IndexedFace:
    key, face_id, image_id, external_image_id, *sides, confidence, user_id = row
    return IndexedFace(
        key,
        str(uuid.UUID(bytes=face_id)),
        str(uuid.UUID(bytes=image_id)),
        external_image_id,
        Box(*sides),
        confidence,
        user_id,
    )
