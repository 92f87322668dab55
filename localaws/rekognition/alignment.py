"""Cutting a face out of an image so that its eyes, nose and mouth lie where SFace expects them."""

from typing import Final

import cv2
import numpy as np

from localaws.rekognition.geometry import Point
from localaws.rekognition.images import Image

CROP_SIDE: Final = 112

# Where SFace was trained to find the image-left eye, the image-right eye, the nose and the corners
# of the mouth: the constants of OpenCV's FaceRecognizerSF::alignCrop.
REFERENCE: Final = (
    Point(38.2946, 51.6963),
    Point(73.5318, 51.5014),
    Point(56.0252, 71.7366),
    Point(41.5493, 92.3655),
    Point(70.7299, 92.2041),
)

# A warp reads four pixels for each it writes, so one that shrinks by more than two skips pixels:
# beyond this, the surroundings of the face are averaged down first.
_STEEPEST_WARP: Final = 0.5


def align(image: Image, landmarks: tuple[Point, ...]) -> Image:
    """Return the face turned upright and scaled, shape (112, 112, 3).

    Up to the averaging of large faces, this is FaceRecognizerSF::alignCrop: the similarity
    transform (rotation, scale and shift) that brings the five landmarks closest to their places.
    """
    turn, shift = _similarity(landmarks)
    if abs(turn) < _STEEPEST_WARP:
        image, landmarks = _shrunk_around(image, landmarks, turn, shift)
        turn, shift = _similarity(landmarks)
    matrix = np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float64
    )
    crop = cv2.warpAffine(image, matrix, (CROP_SIDE, CROP_SIDE), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, np.uint8)


def _similarity(landmarks: tuple[Point, ...]) -> tuple[complex, complex]:
    """Return a and b such that a * landmark + b is nearest to the reference, least squares.

    With points as complex numbers, a turns and scales, and b shifts.
    """
    source = np.array([complex(*point) for point in landmarks])
    target = np.array([complex(*point) for point in REFERENCE])
    spread = source - source.mean()
    turn = complex(np.vdot(spread, target - target.mean()) / np.vdot(spread, spread).real)
    return turn, complex(target.mean() - turn * source.mean())


def _shrunk_around(
    image: Image, landmarks: tuple[Point, ...], turn: complex, shift: complex
) -> tuple[Image, tuple[Point, ...]]:
    """Cut out what the crop will show, and average it down to twice the crop's scale."""
    edge = CROP_SIDE - 1
    corners = [(complex(x, y) - shift) / turn for x in (0, edge) for y in (0, edge)]
    height, width = image.shape[:2]
    left, right = (_clamp(f(c.real for c in corners), width) for f in (min, max))
    top, bottom = (_clamp(f(c.imag for c in corners), height) for f in (min, max))
    region = image[top : bottom + 1, left : right + 1]
    scale = abs(turn) / _STEEPEST_WARP
    size = (max(1, round(region.shape[1] * scale)), max(1, round(region.shape[0] * scale)))
    shrunk = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
    x_scale, y_scale = size[0] / region.shape[1], size[1] / region.shape[0]
    # Half a pixel: coordinates name the centres of pixels, and averaging keeps the edges in place.
    moved = tuple(
        Point((p.x - left + 0.5) * x_scale - 0.5, (p.y - top + 0.5) * y_scale - 0.5)
        for p in landmarks
    )
    return np.asarray(shrunk, np.uint8), moved


def _clamp(coordinate: float, size: int) -> int:
    return min(max(round(coordinate), 0), size - 1)
