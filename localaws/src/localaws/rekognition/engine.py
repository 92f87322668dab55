"""Finding faces in pixels, and turning each into a vector.

``FaceEngine`` is all that the rest of the package knows of the models. ``OpenVINOEngine`` runs them
on the processor.
"""

import threading
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from localaws.rekognition import models
from localaws.rekognition.alignment import CROP_SIDE, align
from localaws.rekognition.detector import Face, FaceDetector
from localaws.rekognition.images import Image
from localaws.rekognition.runtime import Network

VECTOR_LENGTH: Final = 128


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


class OpenVINOEngine:
    """YuNet and SFace, run by OpenVINO. Loads them when they are first used.

    Args:
        streams: how many images are computed at once; as many as there are processors, up to 8.
    """

    def __init__(self, streams: int | None = None) -> None:
        self._streams = streams
        self._loading = threading.Lock()
        self._loaded: tuple[FaceDetector, Network] | None = None

    def warm_up(self) -> None:
        """Load the models now.

        Raises:
            ModelUnavailable: they are missing, or not the expected ones.
        """
        self._models()

    def detect(self, image: Image) -> list[Face]:
        """Return the faces in an image, the largest first.

        Raises:
            ModelUnavailable: the models are missing, or not the expected ones.
        """
        detector, _ = self._models()
        return detector.detect(image)

    def embed(self, image: Image, face: Face) -> Embedding:
        """Return the vector of one of the faces in an image.

        Raises:
            ModelUnavailable: the models are missing, or not the expected ones.
        """
        _, sface = self._models()
        (outputs,) = sface.run(align(image, face.landmarks))
        vector = outputs[0][0]
        norm = float(np.linalg.norm(vector))
        return Embedding(vector / np.float32(norm), norm)

    def _models(self) -> tuple[FaceDetector, Network]:
        with self._loading:
            if self._loaded is None:
                detector = FaceDetector(self._streams)
                content, size = models.read(models.SFACE), (CROP_SIDE, CROP_SIDE)
                sface = Network(content, size, channels_reversed=False, streams=self._streams)
                self._loaded = detector, sface
            return self._loaded
