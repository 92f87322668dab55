"""Finding faces in pixels, and turning each into a vector.

``FaceEngine`` is all that the rest of the package knows of the models. ``OpenCVEngine`` runs them
with OpenCV's own classes.
"""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from localaws.rekognition import models
from localaws.rekognition.alignment import align
from localaws.rekognition.geometry import Box, Point
from localaws.rekognition.images import Image

T = TypeVar("T")

VECTOR_LENGTH: Final = 128

# At OpenCV's default of 0.9 YuNet misses 106 of the 13,233 photographs of Labeled Faces in the
# Wild; at 0.6 it misses none.
SCORE_THRESHOLD: Final = 0.6
_OVERLAP_THRESHOLD: Final = 0.3

# Rekognition finds faces from 40 pixels in 1920, a 48th of the longer side: at this size they have
# 21, which YuNet finds. More pixels cost time and find only smaller faces.
_FINE_SIDE: Final = 1024
# YuNet was made for faces of 10 to 300 pixels, and places the landmarks of larger ones badly, so a
# second and cheap look is taken from afar at every image large enough to hold such faces.
_COARSE_SIDE: Final = 352
_TWO_LOOKS_FROM: Final = 512
# OpenCV pads to multiples of 32, and where one such is all there is of a side, it reports faces of
# infinite size with the highest score: narrow strips are padded to two.
_SHORTEST_SIDE: Final = 64


@dataclass(frozen=True, slots=True)
class Face:
    """A face that was found; coordinates are pixels of the image."""

    box: Box
    landmarks: tuple[Point, ...]
    """Image-left eye, image-right eye, nose, image-left and image-right corner of the mouth."""
    score: float
    """How sure the detector is: ``SCORE_THRESHOLD`` to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What a face looks like, to compare with others."""

    vector: NDArray[np.float32]
    """Shape (128,), length 1: the inner product of two is the cosine of their angle."""
    norm: float
    """The length before it was made 1, which grows with how much of a face can be recognised."""


class FaceEngine(Protocol):
    """Finds and describes faces; safe to share between threads."""

    def detect(self, image: Image) -> list[Face]:
        """Return the faces in an image, the largest first."""
        ...

    def embed(self, image: Image, face: Face) -> Embedding:
        """Return the vector of one of the faces in an image."""
        ...


class OpenCVEngine:
    """YuNet and SFace in OpenCV.

    Loads the models when they are first used. OpenCV's objects serve one thread at a time, so as
    many sets of them are made as are used at once, up to one per processor.
    """

    def __init__(self, concurrency: int | None = None) -> None:
        self._pool = _Pool(_Models, concurrency or min(os.cpu_count() or 1, 8))

    def warm_up(self) -> None:
        """Load the models now.

        Raises:
            ModelUnavailable: they are missing, or not the expected ones.
        """
        with self._pool.borrow():
            pass

    def detect(self, image: Image) -> list[Face]:
        """Return the faces in an image, the largest first.

        Raises:
            ModelUnavailable: the models are missing, or not the expected ones.
        """
        with self._pool.borrow() as loaded:
            found = [face for scale in _looks(image) for face in loaded.detect(image, scale)]
        return sorted(_distinct(found), key=lambda face: face.box.area, reverse=True)

    def embed(self, image: Image, face: Face) -> Embedding:
        """Return the vector of one of the faces in an image.

        Raises:
            ModelUnavailable: the models are missing, or not the expected ones.
        """
        crop = align(image, face.landmarks)
        with self._pool.borrow() as loaded:
            vector = loaded.describe(crop)
        norm = float(np.linalg.norm(vector))
        return Embedding(vector / np.float32(norm), norm)


class _Models:
    """One detector and one recogniser; not safe to share between threads."""

    def __init__(self) -> None:
        self._detector = cv2.FaceDetectorYN.create(
            "onnx",
            _buffer(models.read(models.YUNET)),
            _buffer(b""),
            (_COARSE_SIDE, _COARSE_SIDE),
            SCORE_THRESHOLD,
            _OVERLAP_THRESHOLD,
        )
        self._recogniser = cv2.FaceRecognizerSF.create(
            "onnx", _buffer(models.read(models.SFACE)), _buffer(b"")
        )

    def detect(self, image: Image, scale: float) -> list[Face]:
        """Find faces in the image scaled down; the coordinates are those of the full image."""
        height, width = image.shape[:2]
        size = max(1, round(width * scale)), max(1, round(height * scale))
        seen = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        below, beside = (max(0, _SHORTEST_SIDE - side) for side in seen.shape[:2])
        padded = cv2.copyMakeBorder(seen, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        self._detector.setInputSize((padded.shape[1], padded.shape[0]))
        _, rows = self._detector.detect(padded)
        x_factor, y_factor = width / size[0], height / size[1]
        # OpenCV's answer to no face at all is None.
        return [] if rows is None else [_face(row, x_factor, y_factor) for row in rows.tolist()]

    def describe(self, crop: Image) -> NDArray[np.float32]:
        """Return SFace's vector of an aligned face, shape (128,), not normalised."""
        return np.array(self._recogniser.feature(crop), np.float32).reshape(VECTOR_LENGTH)


def _buffer(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)


def _face(row: list[float], x_factor: float, y_factor: float) -> Face:
    """Read a row of FaceDetectorYN: the box, five landmarks, the score."""
    box = Box(row[0], row[1], row[2], row[3]).scaled(x_factor, y_factor)
    pairs = zip(row[4:14:2], row[5:14:2], strict=True)
    landmarks = tuple(Point(x * x_factor, y * y_factor) for x, y in pairs)
    return Face(box, landmarks, row[14])


def _looks(image: Image) -> list[float]:
    """Return the scales at which the detector sees an image."""
    longest = max(image.shape[:2])
    fine = min(1.0, _FINE_SIDE / longest)
    return [fine] if longest <= _TWO_LOOKS_FROM else [fine, _COARSE_SIDE / longest]


def _distinct(faces: list[Face]) -> list[Face]:
    """Of faces that overlap, found by both looks, keep the one with the higher score."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: face.score, reverse=True):
        if all(face.box.overlap(other.box) <= _OVERLAP_THRESHOLD for other in kept):
            kept.append(face)
    return kept


@dataclass
class _Pool(Generic[T]):
    """Lends objects that serve one thread at a time, and makes them when all are lent."""

    make: Callable[[], T]
    size: int
    _idle: queue.SimpleQueue[T] = field(default_factory=queue.SimpleQueue, init=False)
    _places: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._places = threading.BoundedSemaphore(self.size)

    @contextmanager
    def borrow(self) -> Iterator[T]:
        with self._places:
            try:
                lent = self._idle.get_nowait()
            except queue.Empty:
                lent = self.make()
            yield lent
            # Not reached after an error: what failed inside OpenCV is not lent again.
            self._idle.put(lent)
