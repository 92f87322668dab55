"""The users of a collection: people, each with the faces that are known to be theirs.

A user is found by one vector that gathers those of the user's faces: their mean, of length 1.
"""

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from localaws.database import Database
from localaws.rekognition import calibration
from localaws.rekognition.engine import VECTOR_LENGTH
from localaws.rekognition.exceptions import (
    ConflictException,
    ResourceNotFoundException,
    ServiceQuotaExceededException,
)
from localaws.rekognition.faces import Faces, IndexedFace, nearest_keys
from localaws.rekognition.vectors import VectorIndex

SCHEMA: Final = """
CREATE TABLE users (
    key INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order in which users were created
    collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    UNIQUE (collection, user_id)
);
CREATE INDEX users_of_collection ON users (collection);
"""

MAX_FACES: Final = 100

_SELECT: Final = """
SELECT key, user_id, EXISTS (SELECT 1 FROM faces WHERE user = users.key) FROM users
"""


@dataclass(frozen=True, slots=True)
class User:
    """A user of a collection."""

    key: int
    """Its position in the order in which users were created."""
    user_id: str
    has_faces: bool


@dataclass(frozen=True, slots=True)
class UserMatch:
    """A user of a collection, and how alike it is to the face searched for, 0 to 100."""

    user: User
    similarity: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A face that was not associated or disassociated, and why, in AWS's words."""

    face_id: str
    reasons: list[str]
    user_id: str | None = None
    confidence: float | None = None


@dataclass(slots=True)
class Outcome:
    """What became of the faces that were to be associated or disassociated."""

    done: list[IndexedFace] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    has_faces: bool = False
    """Whether the user has any now."""


class Users:
    """The users of one collection; safe to share between threads.

    What takes a connection is part of a transaction; see ``Database.write``.
    """

    def __init__(self, database: Database, collection: int, faces: Faces) -> None:
        """Take the database, the key of the collection in it, and the collection's faces."""
        self._database = database
        self._collection = collection
        self._faces = faces
        self._lock = threading.Lock()
        self._vectors = VectorIndex(VECTOR_LENGTH)

    def count(self) -> int:
        """Return how many users there are."""
        rows = self._database.read(
            "SELECT count(*) FROM users WHERE collection = ?", (self._collection,)
        )
        return int(rows[0][0])

    def load(self, user: int, total: NDArray[np.float32]) -> None:
        """Take the sum of the vectors of a user whose rows there are."""
        self._vectors.add(user, _of_length_1(total))

    def get(self, user_id: str, connection: sqlite3.Connection | None = None) -> User:
        """Return a user.

        Raises:
            ResourceNotFoundException: there is none of that id.
        """
        statement = f"{_SELECT} WHERE collection = ? AND user_id = ?"
        parameters = (self._collection, user_id)
        if connection is None:
            rows = self._database.read(statement, parameters)
        else:
            rows = connection.execute(statement, parameters).fetchall()
        if not rows:
            raise ResourceNotFoundException(f"The user id: {user_id} does not exist")
        return _user(rows[0])

    def page(self, after: int, limit: int) -> list[User]:
        """Return the users created after the one at a position, at most ``limit``."""
        rows = self._database.read(
            f"{_SELECT} WHERE collection = ? AND key > ? ORDER BY key LIMIT ?",
            (self._collection, after, limit),
        )
        return [_user(row) for row in rows]

    def create(self, connection: sqlite3.Connection, user_id: str) -> None:
        """Make a user without faces.

        Raises:
            ConflictException: there is one of that id.
        """
        try:
            connection.execute(
                "INSERT INTO users (collection, user_id) VALUES (?, ?)",
                (self._collection, user_id),
            )
        except sqlite3.IntegrityError as error:
            raise ConflictException(f"The user id: {user_id} already exists") from error

    def delete(self, connection: sqlite3.Connection, user_id: str) -> None:
        """Delete a user; the user's faces stay in the collection.

        Raises:
            ResourceNotFoundException: there is none of that id.
        """
        user = self.get(user_id, connection)
        connection.execute("UPDATE faces SET user = NULL WHERE user = ?", (user.key,))
        connection.execute("DELETE FROM users WHERE key = ?", (user.key,))
        self._gather(user.key, [])

    def associate(
        self,
        connection: sqlite3.Connection,
        user_id: str,
        face_ids: Sequence[str],
        threshold: float,
    ) -> Outcome:
        """Add faces to a user's.

        A face that is the user's already is passed over. A user who has faces gets only those that
        look like them; the first ones are taken as they are.

        Args:
            connection: a transaction.
            user_id: whose they are.
            face_ids: the faces.
            threshold: the least similarity to the user's vector, 0 to 100.

        Raises:
            ResourceNotFoundException: there is no such user.
            ServiceQuotaExceededException: the user has as many faces as there may be.
        """
        user = self.get(user_id, connection)
        known = self._faces.find(face_ids, connection)
        has = len(self._faces.of_user(user.key, connection))
        gathered = self._vector(user.key)
        outcome = Outcome()
        for face_id in dict.fromkeys(face_ids):
            face = known.get(face_id)
            if face is not None and face.user_id == user_id:
                continue
            refused = _obstacle(face_id, face) or self._mismatch(face, gathered, threshold)
            if refused is None and has + len(outcome.done) == MAX_FACES:
                # AWS lists such a face without a reason, since it has no word for this one.
                refused = Refused(face_id, [], user_id)
            if refused is not None:
                outcome.refused.append(refused)
            elif face is not None:
                outcome.done.append(face)
        if has == MAX_FACES and any(not refused.reasons for refused in outcome.refused):
            raise ServiceQuotaExceededException(
                f"The user id: {user_id} has {MAX_FACES} faces, and can have no more"
            )
        return self._assign(connection, user.key, user.key, outcome)

    def _mismatch(
        self, face: IndexedFace | None, gathered: NDArray[np.float32] | None, threshold: float
    ) -> Refused | None:
        """Say how far a face is below the threshold, if it is."""
        vector = self._faces.vector(face) if face else None
        if face is None or vector is None or gathered is None:
            return None
        similarity = calibration.similarity(float(vector @ gathered))
        if similarity >= threshold:
            return None
        return Refused(face.face_id, ["LOW_MATCH_CONFIDENCE"], confidence=similarity)

    def disassociate(
        self, connection: sqlite3.Connection, user_id: str, face_ids: Sequence[str]
    ) -> Outcome:
        """Take faces away from a user; a face that is nobody's is passed over.

        Raises:
            ResourceNotFoundException: there is no such user.
        """
        user = self.get(user_id, connection)
        known = self._faces.find(face_ids, connection)
        outcome = Outcome()
        for face_id in dict.fromkeys(face_ids):
            face = known.get(face_id)
            if face is not None and face.user_id == user_id:
                outcome.done.append(face)
            elif refused := _obstacle(face_id, face):
                outcome.refused.append(refused)
        return self._assign(connection, user.key, None, outcome)

    def _assign(
        self, connection: sqlite3.Connection, user: int, owner: int | None, outcome: Outcome
    ) -> Outcome:
        """Give the faces of an outcome an owner or none, and gather the user's vector anew."""
        connection.executemany(
            "UPDATE faces SET user = ? WHERE key = ?",
            [(owner, face.key) for face in outcome.done],
        )
        faces = self._faces.of_user(user, connection)
        outcome.has_faces = bool(faces)
        if outcome.done:
            self._gather(user, faces)
        return outcome

    def _gather(self, user: int, faces: Iterable[IndexedFace]) -> None:
        """Make a user's vector from those of the user's faces."""
        vectors = [vector for face in faces if (vector := self._faces.vector(face)) is not None]
        with self._lock:
            if self._find(user) is not None:
                self._vectors.remove([user])
            if vectors:
                self._vectors.add(user, _of_length_1(np.sum(vectors, axis=0)))

    def _vector(self, user: int) -> NDArray[np.float32] | None:
        with self._lock:
            return self._find(user)

    def _find(self, user: int) -> NDArray[np.float32] | None:
        try:
            return self._vectors[user]
        except KeyError:
            return None

    def search(self, vector: NDArray[np.float32], threshold: float, limit: int) -> list[UserMatch]:
        """Return the users who look like a vector, the most alike first.

        Args:
            vector: shape (128,), length 1.
            threshold: the least similarity to be returned, 0 to 100.
            limit: the most users to return.
        """
        with self._lock:
            nearest = nearest_keys(self._vectors, vector, threshold, limit)
        users = {}
        if nearest:
            marks = ", ".join("?" * len(nearest))
            rows = self._database.read(f"{_SELECT} WHERE key IN ({marks})", list(nearest))
            users = {user.key: user for user in map(_user, rows)}
        return [UserMatch(users[key], s) for key, s in nearest.items() if key in users]

    def search_by_user(self, user_id: str, threshold: float, limit: int) -> list[UserMatch]:
        """Return the other users who look like one, the most alike first.

        Raises:
            ResourceNotFoundException: there is no such user.
        """
        user = self.get(user_id)
        vector = self._vector(user.key)
        if vector is None:
            return []
        matches = self.search(vector, threshold, limit + 1)
        return [match for match in matches if match.user.key != user.key][:limit]


def _obstacle(face_id: str, face: IndexedFace | None) -> Refused | None:
    """Say why a face can be neither given to a user nor taken away, if that is so."""
    if face is None:
        return Refused(face_id, ["FACE_NOT_FOUND"])
    if face.user_id is not None:
        return Refused(face_id, ["ASSOCIATED_TO_A_DIFFERENT_USER"], face.user_id)
    return None


def _of_length_1(total: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(total)) or 1.0
    return np.asarray(total / length, np.float32)


def _user(row: tuple[int, str, int]) -> User:
    key, user_id, has_faces = row
    return User(key, user_id, bool(has_faces))
