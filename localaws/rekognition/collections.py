"""Face collections: which there are, the faces in them, and finding the faces that look alike.

This is all the state there is. It changes in five methods only, each under its lock: ``create``,
``delete`` and ``clear`` of ``Collections``, ``add`` and ``remove`` of ``Collection``.
"""

import itertools
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from localaws.rekognition import calibration
from localaws.rekognition.engine import VECTOR_LENGTH
from localaws.rekognition.exceptions import (
    InvalidParameterException,
    ResourceAlreadyExistsException,
    ResourceNotFoundException,
)
from localaws.rekognition.geometry import Box
from localaws.rekognition.vectors import VectorIndex

FACE_MODEL_VERSION: Final = "7.0"


@dataclass(frozen=True, slots=True)
class IndexedFace:
    """A face in a collection."""

    face_id: str
    image_id: str
    external_image_id: str | None
    bounding_box: Box
    """Relative to the image's sides."""
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class NewFace:
    """A face to be put into a collection."""

    image_id: str
    external_image_id: str | None
    bounding_box: Box
    confidence: float
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FaceMatch:
    """A face of a collection, and how alike it is to the one searched for, 0 to 100."""

    face: IndexedFace
    similarity: float


@dataclass(frozen=True, slots=True)
class Listed:
    """A face of a collection, and its position in the order in which faces came."""

    position: int
    face: IndexedFace


class Collection:
    """A face collection; safe to share between threads.

    Faces are numbered as they come, from 1, and a number is never used again.
    """

    def __init__(self, collection_id: str, position: int) -> None:
        self.collection_id = collection_id
        self.position = position
        self.created_at = time.time()
        self._lock = threading.Lock()
        self._faces: dict[int, IndexedFace] = {}
        self._positions: dict[str, int] = {}
        self._same_faces: dict[tuple[str, str, Box], int] = {}
        self._vectors = VectorIndex(VECTOR_LENGTH)
        self._last_position = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._faces)

    def add(self, faces: Iterable[NewFace]) -> list[IndexedFace]:
        """Put the faces of an image into the collection, and return them with their ids.

        A face that is there already, from the same image under the same ExternalImageId, is not
        doubled but returned as it is. Without ExternalImageId each is a new one.
        """
        with self._lock:
            return [self._find_or_add(face) for face in faces]

    def _find_or_add(self, new: NewFace) -> IndexedFace:
        identity = _identity(new)
        if identity in self._same_faces:
            return self._faces[self._same_faces[identity]]
        face = IndexedFace(
            face_id=str(uuid.uuid4()),
            image_id=new.image_id,
            external_image_id=new.external_image_id,
            bounding_box=new.bounding_box,
            confidence=new.confidence,
        )
        self._last_position += 1
        self._faces[self._last_position] = face
        self._positions[face.face_id] = self._last_position
        if identity:
            self._same_faces[identity] = self._last_position
        self._vectors.add(self._last_position, new.vector)
        return face

    def remove(self, face_ids: Sequence[str]) -> list[str]:
        """Take faces out of the collection, and return the ids of those that were in it."""
        with self._lock:
            removed = [face_id for face_id in dict.fromkeys(face_ids) if face_id in self._positions]
            positions = [self._positions.pop(face_id) for face_id in removed]
            self._vectors.remove(positions)
            for position in positions:
                identity = _identity(self._faces.pop(position))
                if identity:
                    del self._same_faces[identity]
            return removed

    def page(self, after: int, limit: int, face_ids: Iterable[str] | None = None) -> list[Listed]:
        """Return the faces that came after a position, in that order.

        Args:
            after: the position, 0 to begin with the first.
            limit: the most faces to return.
            face_ids: leave out all others; None leaves out none.
        """
        with self._lock:
            positions: Iterable[int] = range(after + 1, self._last_position + 1)
            if face_ids is not None:
                known = {self._positions[f] for f in face_ids if f in self._positions}
                positions = sorted(position for position in known if position > after)
            present = (Listed(p, self._faces[p]) for p in positions if p in self._faces)
            return list(itertools.islice(present, limit))

    def search(self, vector: NDArray[np.float32], threshold: float, limit: int) -> list[FaceMatch]:
        """Return the faces that look like a vector, the most alike first.

        Args:
            vector: shape (128,), length 1.
            threshold: the least similarity to be returned, 0 to 100.
            limit: the most faces to return.
        """
        with self._lock:
            return self._search(vector, threshold, limit)

    def search_by_face(self, face_id: str, threshold: float, limit: int) -> list[FaceMatch]:
        """Return the other faces that look like one in the collection, the most alike first.

        Raises:
            InvalidParameterException: there is no face of that id.
        """
        with self._lock:
            if face_id not in self._positions:
                raise InvalidParameterException("faceId was not found in the collection.")
            vector = self._vectors[self._positions[face_id]]
            matches = self._search(vector, threshold, limit + 1)
        return [match for match in matches if match.face.face_id != face_id][:limit]

    def _search(self, vector: NDArray[np.float32], threshold: float, limit: int) -> list[FaceMatch]:
        nearest = (
            FaceMatch(self._faces[found.key], calibration.similarity(found.cosine))
            for found in self._vectors.search(vector, limit)
        )
        return list(itertools.takewhile(lambda match: match.similarity >= threshold, nearest))


def _identity(face: NewFace | IndexedFace) -> tuple[str, str, Box] | None:
    """Return what makes two faces the same one, or None for a face that is always new.

    The box says which face of the image it is: the same image always gives the same boxes.
    """
    if face.external_image_id is None:
        return None
    return face.external_image_id, face.image_id, face.bounding_box


@dataclass
class Collections:
    """All face collections; safe to share between threads."""

    _collections: dict[str, Collection] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _last_position: int = field(default=0, init=False)

    def create(self, collection_id: str) -> Collection:
        """Make an empty collection.

        Raises:
            ResourceAlreadyExistsException: there is one of that id.
        """
        with self._lock:
            if collection_id in self._collections:
                raise ResourceAlreadyExistsException(
                    f"The collection id: {collection_id} already exists"
                )
            self._last_position += 1
            collection = Collection(collection_id, self._last_position)
            self._collections[collection_id] = collection
            return collection

    def get(self, collection_id: str) -> Collection:
        """Return a collection.

        Raises:
            ResourceNotFoundException: there is none of that id.
        """
        with self._lock:
            if collection_id not in self._collections:
                raise _no_such_collection(collection_id)
            return self._collections[collection_id]

    def delete(self, collection_id: str) -> None:
        """Delete a collection and the faces in it.

        Raises:
            ResourceNotFoundException: there is none of that id.
        """
        with self._lock:
            if self._collections.pop(collection_id, None) is None:
                raise _no_such_collection(collection_id)

    def page(self, after: int, limit: int) -> list[Collection]:
        """Return the collections made after the one at a position, at most ``limit``."""
        with self._lock:
            later = (c for c in self._collections.values() if c.position > after)
            return list(itertools.islice(later, limit))

    def clear(self) -> None:
        """Delete all collections."""
        with self._lock:
            self._collections.clear()


def _no_such_collection(collection_id: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"The collection id: {collection_id} does not exist")
