"""Cutting a face out of an image so that its eyes, nose and mouth lie where SFace expects them."""

import math
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from localaws.rekognition.geometry import Point
from localaws.rekognition.images import Image, Pixels

Transform: TypeAlias = NDArray[np.float64]
"""Shape (3, 3): brings points (x, y, 1) of one image to where they lie in another."""

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
# beyond this, what will be seen is averaged down first.
_STEEPEST_WARP: Final = 0.5


def align(image: Image, landmarks: tuple[Point, ...]) -> Pixels:
    """Return the face turned upright and scaled, shape (112, 112, 3).

    Up to the averaging of large faces, this is FaceRecognizerSF::alignCrop: the similarity
    transform (rotation, scale and shift) that brings the five landmarks closest to their places.
    """
    return cut_out(image, similarity(*_fit(landmarks)), CROP_SIDE)


def cut_out(image: Image, transform: Transform, side: int, fineness: float = 1) -> Pixels:
    """Return a part of an image, shape (side, side, 3); what lies outside the image is black.

    Args:
        image: the image.
        transform: brings the image's points to where they lie in the part: turned and scaled.
        side: of the part, in pixels.
        fineness: of how many of the image's pixels to make one at least; less is more blurred, and
            may spare decoding the image again.
    """
    pixels = image.pixels(fineness * _scale(transform))
    height, width = pixels.shape[:2]
    transform = transform @ _resampling(image.width / width, image.height / height)
    if _scale(transform) < _STEEPEST_WARP:
        pixels, moved = _averaged_around(pixels, transform, side)
        transform = transform @ np.linalg.inv(moved)
    part = cv2.warpAffine(pixels, transform[:2], (side, side), flags=cv2.INTER_LINEAR)
    return np.asarray(part, np.uint8)


def upright(landmarks: tuple[Point, ...]) -> complex:
    """Return by what to turn a face, as a complex number of length 1."""
    turn, _ = _fit(landmarks)
    return turn / abs(turn)


def similarity(turn: complex, shift: complex) -> Transform:
    """Return turn * point + shift, where a point is x + iy: a turn and a scale, then a shift."""
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag], [0, 0, 1]]
    )


def _fit(landmarks: tuple[Point, ...]) -> tuple[complex, complex]:
    """Return the turn and the shift that bring landmarks nearest to the reference."""
    source = np.array([complex(*point) for point in landmarks])
    target = np.array([complex(*point) for point in REFERENCE])
    spread = source - source.mean()
    turn = complex(np.vdot(spread, target - target.mean()) / np.vdot(spread, spread).real)
    return turn, complex(target.mean() - turn * source.mean())


def _resampling(x_factor: float, y_factor: float) -> Transform:
    """Return where points lie in an image made larger or smaller.

    The edges stay in place, and coordinates name the centres of pixels: hence the halves.
    """
    return np.array(
        [
            [x_factor, 0, 0.5 * x_factor - 0.5],
            [0, y_factor, 0.5 * y_factor - 0.5],
            [0, 0, 1],
        ]
    )


def _averaged_around(pixels: Pixels, transform: Transform, side: int) -> tuple[Pixels, Transform]:
    """Average what a part will show down to twice its scale; return how its points have moved."""
    corners = np.array([[x, y, 1] for x in (0, side - 1) for y in (0, side - 1)])
    x, y, _ = np.linalg.inv(transform) @ corners.T
    height, width = pixels.shape[:2]
    left, right = (_clamp(f(x), width) for f in (np.min, np.max))
    top, bottom = (_clamp(f(y), height) for f in (np.min, np.max))
    region = pixels[top : bottom + 1, left : right + 1]
    scale = _scale(transform) / _STEEPEST_WARP
    size = (max(1, round(region.shape[1] * scale)), max(1, round(region.shape[0] * scale)))
    averaged = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
    cropping = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])
    resampling = _resampling(size[0] / region.shape[1], size[1] / region.shape[0])
    return np.asarray(averaged, np.uint8), resampling @ cropping


def _scale(transform: Transform) -> float:
    (a, b, _), (c, d, _), _ = transform.tolist()
    return math.sqrt(abs(a * d - b * c))


def _clamp(coordinate: float, size: int) -> int:
    return min(max(round(float(coordinate)), 0), size - 1)
