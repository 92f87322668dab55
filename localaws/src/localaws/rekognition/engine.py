"""Find faces in pixels, and turn each face into a vector.

``FaceEngine`` is the interface that the rest of the package uses. ``OpenVINOEngine`` implements it
with models that run on the processor.
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
    """The vector of a face, for comparison with other faces."""

    vector: NDArray[np.float32]
    """Shape (128,), length 1. The inner product of two vectors is the cosine of their angle."""
    norm: float
    """Length of the vector before normalisation. The clearer the face, the longer the vector."""


class FaceEngine(Protocol):
    """Finds faces and computes their vectors. Safe to share between threads."""

    def detect(self, image: Image) -> list[Face]:
        """Return the faces in an image, largest first."""
        ...

    def embed(self, image: Image, face: Face) -> Embedding:
        """Return the vector of a face in an image."""
        ...


class OpenVINOEngine:
    """YuNet and SFace, run by OpenVINO. The first use loads the models.

    Args:
        streams: number of images computed at the same time. Default: one per processor, at most 8.
    """

    def __init__(self, streams: int | None = None) -> None:
        self._streams = streams
        self._loading = threading.Lock()
        self._loaded: tuple[FaceDetector, Network] | None = None

    def warm_up(self) -> None:
        """Load the models now.

        Raises:
            ModelUnavailable: the models are missing, or differ from the published files.
        """
        self._load_models()

    def detect(self, image: Image) -> list[Face]:
        """Return the faces in an image, largest first.

        Raises:
            ModelUnavailable: the models are missing, or differ from the published files.
            InvalidImageFormatException: the image is corrupt.
        """
        detector, _ = self._load_models()
        return detector.detect(image)

    def embed(self, image: Image, face: Face) -> Embedding:
        """Return the vector of a face in an image.

        Raises:
            ModelUnavailable: the models are missing, or differ from the published files.
            InvalidImageFormatException: the image is corrupt.
        """
        _, sface = self._load_models()
        (outputs,) = sface.run(align(image, face.landmarks))
        vector = outputs[0][0]
        norm = float(np.linalg.norm(vector))
        return Embedding(vector / np.float32(norm), norm)

    def _load_models(self) -> tuple[FaceDetector, Network]:
        with self._loading:
            if self._loaded is None:
                detector = FaceDetector(self._streams)
                content, size = models.read(models.SFACE), (CROP_SIDE, CROP_SIDE)
                sface = Network(content, size, channels_reversed=False, streams=self._streams)
                self._loaded = detector, sface
            return self._loaded
