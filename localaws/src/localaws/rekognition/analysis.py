"""What can be said of a face besides whose it is: where it is, how well seen, how turned.

All of it is computed from the pixels. Age, gender, emotions and the like are left out, because the
models say nothing of them.
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

# The part of an aligned crop that shows face and little else, rows and columns alike.
_INNER: Final = slice(16, 104)

# A head seen from the front: x right, y down, z away from the camera. x and y are the median places
# of YuNet's landmarks in 283 aligned photographs of LFW, left and right made equal, so that the
# median face looks straight ahead; the depths give about the pose that the Developer Guide prints
# beside the landmarks of its sample face.
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
# Distance of the camera, in the head's unit; portraits are taken from about ten head widths away.
_DISTANCE: Final = 400.0
_STEEPEST_PITCH: Final = 45.0


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a face can be seen, each 0 to 100."""

    brightness: float
    sharpness: float


@dataclass(frozen=True, slots=True)
class Pose:
    """How a head is turned, in degrees, as seen in the image.

    Positive roll leans to the right (clockwise), positive yaw looks right, positive pitch looks up.
    """

    roll: float
    yaw: float
    pitch: float


@dataclass(frozen=True, slots=True)
class FaceAnalysis:
    """A face as Rekognition describes it; coordinates are ratios of the image's sides."""

    face: Face
    bounding_box: Box
    landmarks: tuple[Point, ...]
    confidence: float
    quality: Quality
    pose: Pose


def analyse(image: Image, face: Face) -> FaceAnalysis:
    """Describe one of the faces in an image."""
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
    """Return brightness and sharpness of an aligned face.

    Sharpness is measured at the size that recognition sees, so that it neither depends on the size
    of the photograph nor forgives a face that had to be enlarged; and relative to the contrast, so
    that it does not depend on the light.
    """
    luma = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[_INNER, _INNER].astype(np.float64)
    contrast = float(luma.var())
    edges = float(cv2.Laplacian(luma, cv2.CV_64F).var())
    return Quality(
        brightness=calibration.brightness(float(luma.mean())),
        sharpness=calibration.sharpness(edges / contrast if contrast else 0.0),
    )


def estimate_pose(landmarks: tuple[Point, ...]) -> Pose:
    """Return the pose of the head whose five landmarks would lie as these do.

    Yaw is good to a few degrees. Pitch is rough, because five points tell little of it, and is kept
    within ``_STEEPEST_PITCH``.
    """
    left_eye, right_eye = landmarks[0], landmarks[1]
    roll = math.degrees(math.atan2(right_eye.y - left_eye.y, right_eye.x - left_eye.x))
    yaw, pitch = _gaze(landmarks)
    return Pose(roll, yaw, min(max(pitch, -_STEEPEST_PITCH), _STEEPEST_PITCH))


def _gaze(landmarks: tuple[Point, ...]) -> tuple[float, float]:
    """Return yaw and pitch of the direction in which the head points, in degrees."""
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
