"""The users of a collection: people, each with the faces associated with them.

Searches compare one vector per user: the mean of the vectors of the user's faces, normalised to
length 1.
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
    key INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order of creation
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
    """The position of the user in the order of creation."""
    user_id: str
    has_faces: bool


@dataclass(frozen=True, slots=True)
class UserMatch:
    """A user of a collection, and the user's similarity to the face or user searched for."""

    user: User
    similarity: float
    """0 to 100."""


@dataclass(frozen=True, slots=True)
class UnsuccessfulFace:
    """A face that could not be associated, disassociated or deleted."""

    face_id: str
    reasons: list[str]
    """AWS's names of the reasons, such as ``FACE_NOT_FOUND``."""
    user_id: str | None = None
    """The user that the face belongs to, or could not be added to."""
    confidence: float | None = None
    """Similarity to the user, 0 to 100, if it is below the threshold."""


@dataclass(slots=True)
class AssociationResult:
    """The result of associating faces with a user, or of disassociating them."""

    changed: list[IndexedFace] = field(default_factory=list)
    unsuccessful: list[UnsuccessfulFace] = field(default_factory=list)
    has_faces: bool = False
    """Whether the user has any faces after the change."""


class Users:
    """The users of one collection. Safe to share between threads.

    Methods with a parameter ``connection`` run inside a transaction; see ``Database.write``.

    Args:
        database: the database with the tables of ``SCHEMA``.
        collection: the key of the collection.
        faces: the faces of the collection.
    """

    def __init__(self, database: Database, collection: int, faces: Faces) -> None:
        self._database = database
        self._collection = collection
        self._faces = faces
        self._lock = threading.Lock()
        self._vectors = VectorIndex(VECTOR_LENGTH)

    def count(self) -> int:
        """Return the number of users."""
        rows = self._database.read(
            "SELECT count(*) FROM users WHERE collection = ?", (self._collection,)
        )
        return int(rows[0][0])

    def load(self, user: int, total: NDArray[np.float32]) -> None:
        """Add the vector of a stored user to the index.

        Args:
            user: the key of the user.
            total: the sum of the vectors of the user's faces, shape (128,).
        """
        self._vectors.add(user, _normalised(total))

    def get(self, user_id: str, connection: sqlite3.Connection | None = None) -> User:
        """Return a user, given the user's id.

        Raises:
            ResourceNotFoundException: the collection has no user with this id.
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
        """Return at most ``limit`` users after a position, in the order of creation.

        Args:
            after: the key of the last user of the previous page; 0 for the first page.
            limit: the maximum number of users to return.
        """
        rows = self._database.read(
            f"{_SELECT} WHERE collection = ? AND key > ? ORDER BY key LIMIT ?",
            (self._collection, after, limit),
        )
        return [_user(row) for row in rows]

    def create(self, connection: sqlite3.Connection, user_id: str) -> None:
        """Create a user without faces.

        Raises:
            ConflictException: the collection already has a user with this id.
        """
        try:
            connection.execute(
                "INSERT INTO users (collection, user_id) VALUES (?, ?)",
                (self._collection, user_id),
            )
        except sqlite3.IntegrityError as error:
            raise ConflictException(f"The user id: {user_id} already exists") from error

    def delete(self, connection: sqlite3.Connection, user_id: str) -> None:
        """Delete a user. The user's faces stay in the collection.

        Raises:
            ResourceNotFoundException: the collection has no user with this id.
        """
        user = self.get(user_id, connection)
        connection.execute("UPDATE faces SET user = NULL WHERE user = ?", (user.key,))
        connection.execute("DELETE FROM users WHERE key = ?", (user.key,))
        self._update_vector(user.key, [])

    def associate(
        self,
        connection: sqlite3.Connection,
        user_id: str,
        face_ids: Sequence[str],
        threshold: float,
    ) -> AssociationResult:
        """Associate faces with a user.

        Faces that are associated with the user already are skipped. If the user has faces, only
        similar faces are added. The first faces of a user are added without a comparison.

        Args:
            connection: the transaction.
            user_id: the user.
            face_ids: the faces to add.
            threshold: the minimum similarity to the user's vector, 0 to 100.

        Raises:
            ResourceNotFoundException: the collection has no user with this id.
            ServiceQuotaExceededException: the user already has ``MAX_FACES`` faces.
        """
        user = self.get(user_id, connection)
        found = self._faces.find(face_ids, connection)
        count = len(self._faces.of_user(user.key, connection))
        user_vector = self._vector(user.key)
        result = AssociationResult()
        for face_id in dict.fromkeys(face_ids):
            face = found.get(face_id)
            if face is not None and face.user_id == user_id:
                continue
            failure = _check_owner(face_id, face) or self._check_similarity(
                face, user_vector, threshold
            )
            if failure is None and count + len(result.changed) == MAX_FACES:
                # AWS lists such a face without a reason: its service model has none for this case.
                failure = UnsuccessfulFace(face_id, [], user_id)
            if failure is not None:
                result.unsuccessful.append(failure)
            elif face is not None:
                result.changed.append(face)
        if count == MAX_FACES and any(not failure.reasons for failure in result.unsuccessful):
            raise ServiceQuotaExceededException(
                f"The user id: {user_id} has {MAX_FACES} faces, and can have no more"
            )
        return self._assign(connection, user.key, user.key, result)

    def _check_similarity(
        self, face: IndexedFace | None, user_vector: NDArray[np.float32] | None, threshold: float
    ) -> UnsuccessfulFace | None:
        """Return the failure of a face that is less similar than the threshold, else None."""
        vector = self._faces.vector(face) if face else None
        if face is None or vector is None or user_vector is None:
            return None
        similarity = calibration.similarity(float(vector @ user_vector))
        if similarity >= threshold:
            return None
        return UnsuccessfulFace(face.face_id, ["LOW_MATCH_CONFIDENCE"], confidence=similarity)

    def disassociate(
        self, connection: sqlite3.Connection, user_id: str, face_ids: Sequence[str]
    ) -> AssociationResult:
        """Disassociate faces from a user. Faces without a user are skipped.

        Raises:
            ResourceNotFoundException: the collection has no user with this id.
        """
        user = self.get(user_id, connection)
        found = self._faces.find(face_ids, connection)
        result = AssociationResult()
        for face_id in dict.fromkeys(face_ids):
            face = found.get(face_id)
            if face is not None and face.user_id == user_id:
                result.changed.append(face)
            elif failure := _check_owner(face_id, face):
                result.unsuccessful.append(failure)
        return self._assign(connection, user.key, None, result)

    def _assign(
        self,
        connection: sqlite3.Connection,
        user: int,
        owner: int | None,
        result: AssociationResult,
    ) -> AssociationResult:
        """Set the owner of the changed faces, and update the vector of the user."""
        connection.executemany(
            "UPDATE faces SET user = ? WHERE key = ?",
            [(owner, face.key) for face in result.changed],
        )
        faces = self._faces.of_user(user, connection)
        result.has_faces = bool(faces)
        if result.changed:
            self._update_vector(user, faces)
        return result

    def _update_vector(self, user: int, faces: Iterable[IndexedFace]) -> None:
        """Compute the vector of a user from the vectors of the user's faces."""
        vectors = [vector for face in faces if (vector := self._faces.vector(face)) is not None]
        vector = _normalised(np.sum(vectors, axis=0)) if vectors else None
        before = self._set_vector(user, vector)

        def restore() -> None:
            self._set_vector(user, before)

        self._database.if_undone(restore)

    def _set_vector(
        self, user: int, vector: NDArray[np.float32] | None
    ) -> NDArray[np.float32] | None:
        """Replace the vector of a user, and return the former one; None is no vector."""
        with self._lock:
            before = self._vectors.remove([user]).get(user)
            if vector is not None:
                self._vectors.add(user, vector)
        return before

    def _vector(self, user: int) -> NDArray[np.float32] | None:
        with self._lock:
            return self._find(user)

    def _find(self, user: int) -> NDArray[np.float32] | None:
        try:
            return self._vectors[user]
        except KeyError:
            return None

    def search(self, vector: NDArray[np.float32], threshold: float, limit: int) -> list[UserMatch]:
        """Return the users similar to a vector, most similar first.

        Args:
            vector: shape (128,), length 1.
            threshold: the minimum similarity, 0 to 100.
            limit: the maximum number of users to return.
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
        """Return the other users similar to a user, most similar first.

        Args:
            user_id: the user to compare with.
            threshold: the minimum similarity, 0 to 100.
            limit: the maximum number of users to return.

        Raises:
            ResourceNotFoundException: the collection has no user with this id.
        """
        user = self.get(user_id)
        vector = self._vector(user.key)
        if vector is None:
            return []
        matches = self.search(vector, threshold, limit + 1)
        return [match for match in matches if match.user.key != user.key][:limit]


def _check_owner(face_id: str, face: IndexedFace | None) -> UnsuccessfulFace | None:
    """Return the failure of a face that is missing or belongs to another user, else None."""
    if face is None:
        return UnsuccessfulFace(face_id, ["FACE_NOT_FOUND"])
    if face.user_id is not None:
        return UnsuccessfulFace(face_id, ["ASSOCIATED_TO_A_DIFFERENT_USER"], face.user_id)
    return None


def _normalised(total: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(total)) or 1.0
    return np.asarray(total / length, np.float32)


def _user(row: tuple[int, str, int]) -> User:
    key, user_id, has_faces = row
    return User(key, user_id, bool(has_faces))
