"""Describe a face as Rekognition does: bounding box, landmarks, confidence, quality and pose.

Every value is computed from the pixels. Age, gender and emotions are missing, because the models
cannot estimate them.
"""

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from localaws.rekognition import calibration
from localaws.rekognition.alignment import align
from localaws.rekognition.detector import Face
from localaws.rekognition.geometry import Box, Point
from localaws.rekognition.images import Image, Pixels

# The rows and columns of an aligned crop that show little more than the face.
_INNER: Final = slice(16, 104)

# The landmarks of a head seen from the front: x right, y down, z away from the camera. x and y are
# the median positions of YuNet's landmarks in 283 aligned photographs of LFW, made symmetrical so
# that the median face looks straight ahead. The depths were chosen to reproduce roughly the pose
# that the Developer Guide gives for the landmarks of its sample face.
_HEAD: Final = np.array(
    [
        [-18.75, -19.33, 0.0],
        [18.75, -19.33, 0.0],
        [0.0, 1.67, -18.0],
        [-16.08, 18.49, -2.0],
        [16.08, 18.49, -2.0],
    ],
    np.float64,
)
# Distance of the camera in the units of _HEAD. Portraits are taken from about ten head widths away.
_DISTANCE: Final = 400.0
_MAX_PITCH: Final = 45.0


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a face can be seen. Each value is 0 to 100."""

    brightness: float
    sharpness: float


@dataclass(frozen=True, slots=True)
class Pose:
    """Rotation of a head in degrees, as seen in the image.

    Positive roll: leans right (clockwise). Positive yaw: looks right. Positive pitch: looks up.
    """

    roll: float
    yaw: float
    pitch: float


@dataclass(frozen=True, slots=True)
class FaceAnalysis:
    """A face as Rekognition describes it. Coordinates are ratios of the image's sides."""

    face: Face
    """The detected face, in pixels of the image."""
    bounding_box: Box
    landmarks: tuple[Point, ...]
    confidence: float
    """0 to 100."""
    quality: Quality
    pose: Pose


def analyse(image: Image, face: Face) -> FaceAnalysis:
    """Return the description of a face in an image.

    Raises:
        InvalidImageFormatException: the image is corrupt.
    """
    width, height = image.width, image.height
    return FaceAnalysis(
        face=face,
        bounding_box=face.box.scaled(1 / width, 1 / height),
        landmarks=tuple(Point(p.x / width, p.y / height) for p in face.landmarks),
        confidence=calibration.confidence(face.score),
        quality=measure_quality(align(image, face.landmarks)),
        pose=estimate_pose(face.landmarks),
    )


def measure_quality(crop: Pixels) -> Quality:
    """Return brightness and sharpness of an aligned face, shape (112, 112, 3).

    Sharpness is measured at the size that recognition uses. It therefore does not depend on the
    size of the photograph, and a small face that had to be enlarged counts as blurred. It is
    measured relative to the contrast, so it does not depend on the light.
    """
    luma = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[_INNER, _INNER].astype(np.float64)
    contrast = float(luma.var())
    edges = float(cv2.Laplacian(luma, cv2.CV_64F).var())
    return Quality(
        brightness=calibration.brightness(float(luma.mean())),
        sharpness=calibration.sharpness(edges / contrast if contrast else 0.0),
    )


def estimate_pose(landmarks: tuple[Point, ...]) -> Pose:
    """Estimate the pose of a head from its five landmarks.

    Yaw is accurate to a few degrees. Pitch is rough, because five points determine it badly; it is
    limited to ``_MAX_PITCH`` degrees up and down.
    """
    left_eye, right_eye = landmarks[0], landmarks[1]
    roll = math.degrees(math.atan2(right_eye.y - left_eye.y, right_eye.x - left_eye.x))
    yaw, pitch = _head_direction(landmarks)
    return Pose(roll, yaw, min(max(pitch, -_MAX_PITCH), _MAX_PITCH))


def _head_direction(landmarks: tuple[Point, ...]) -> tuple[float, float]:
    """Return yaw and pitch of the direction that the head faces, in degrees."""
    points = np.array(landmarks, np.float64)
    points -= points.mean(axis=0)
    flat = _HEAD[:, :2]
    size = math.sqrt(float((points**2).sum() / (flat**2).sum()))
    focal = _DISTANCE * size
    camera = np.array([[focal, 0.0, 0.0], [0.0, focal, 0.0], [0.0, 0.0, 1.0]])
    found, rotation, _ = cv2.solvePnP(_HEAD, points, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if not found:
        return 0.0, 0.0
    x, y, z = (-cv2.Rodrigues(rotation)[0][:, 2]).tolist()
    return math.degrees(math.atan2(x, -z)), math.degrees(math.atan2(-y, math.hypot(x, z)))
