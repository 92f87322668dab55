"""Other software for the same work, to compare the local Rekognition with."""

import importlib
import importlib.util
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from localaws.rekognition import models
from localaws.rekognition.detector import SCORE_THRESHOLD
from localaws.rekognition.images import Pixels

HOW_TO_INSTALL = "pip install --no-deps -r requirements/bench.txt"


class NotInstalled(Exception):
    """A peer or one of its dependencies is missing."""


class OpenCVFaces:
    """OpenCV's own classes with the same model files. Not safe to share between threads."""

    def __init__(self) -> None:
        yunet, sface = (
            np.frombuffer(models.read(model), np.uint8) for model in (models.YUNET, models.SFACE)
        )
        nothing = np.empty(0, np.uint8)
        size = (256, 256)
        self._detector = cv2.FaceDetectorYN.create("onnx", yunet, nothing, size, SCORE_THRESHOLD)
        self._recogniser = cv2.FaceRecognizerSF.create("onnx", sface, nothing)

    def recognise(self, pixels: Pixels) -> None:
        """Find the largest face and compute its vector.

        Args:
            pixels: shape (height, width, 3), channels blue, green, red.
        """
        self._detector.setInputSize((pixels.shape[1], pixels.shape[0]))
        _, rows = self._detector.detect(pixels)
        if rows is not None:
            largest = max(rows, key=lambda row: row[2] * row[3])
            self._recogniser.feature(self._recogniser.alignCrop(pixels, largest))


class FaceRecognition:
    """The library ``face_recognition``, which uses dlib, called as its README shows.

    Raises:
        NotInstalled: the library or one of its dependencies is missing.
    """

    def __init__(self) -> None:
        # The library ends the process if its models or pkg_resources are missing, so check first.
        _require("dlib", "face_recognition_models", "pkg_resources")
        self._library = _require("face_recognition")

    def recognise(self, pixels: Pixels) -> None:
        """Find the largest face and compute its vector.

        Args:
            pixels: shape (height, width, 3), channels red, green, blue.
        """
        boxes = self._library.face_locations(pixels)
        if boxes:
            largest = max(boxes, key=lambda box: (box[2] - box[0]) * (box[1] - box[3]))
            self._library.face_encodings(pixels, [largest])


class FaissIndex:
    """faiss's exact index of inner products.

    Args:
        vectors: shape (count, length).

    Raises:
        NotInstalled: faiss-cpu is missing.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._faiss = _require("faiss")
        self._index = self._faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def search(self, vector: NDArray[np.float32], limit: int, threads: int) -> list[int]:
        """Return the rows of the ``limit`` nearest vectors, nearest first."""
        self._faiss.omp_set_num_threads(threads)
        _, rows = self._index.search(vector[np.newaxis], limit)
        nearest: list[int] = rows[0].tolist()
        return nearest


def _require(*names: str) -> Any:
    """Import modules, and return the last one."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise NotInstalled(f"{name} is not installed. Install it: {HOW_TO_INSTALL}")
    return [importlib.import_module(name) for name in names][-1]
