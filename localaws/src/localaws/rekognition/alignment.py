"""Crop a face from an image so that its eyes, nose and mouth lie where SFace expects them."""

import math
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from localaws.rekognition.geometry import Point
from localaws.rekognition.images import Image, Pixels

Transform: TypeAlias = NDArray[np.float64]
"""Shape (3, 3): maps points (x, y, 1) of one image to points of another."""

CROP_SIDE: Final = 112

# SFace was trained on crops with the left eye, the right eye, the nose, and the left and the right
# corner of the mouth at these points (left and right as seen in the image). Source: the constants
# of OpenCV's FaceRecognizerSF::alignCrop.
REFERENCE: Final = (
    Point(38.2946, 51.6963),
    Point(73.5318, 51.5014),
    Point(56.0252, 71.7366),
    Point(41.5493, 92.3655),
    Point(70.7299, 92.2041),
)

# A warp reads four pixels for each pixel that it writes, so it skips pixels when it shrinks an
# image to less than half. Below this scale, the region is averaged down first.
_MIN_WARP_SCALE: Final = 0.5


def align(image: Image, landmarks: tuple[Point, ...]) -> Pixels:
    """Return the face, rotated upright and scaled, shape (112, 112, 3).

    A similarity transform (rotation, scale and shift) maps the five landmarks as close as possible
    to ``REFERENCE``. This is FaceRecognizerSF::alignCrop, except that large faces are averaged.
    """
    return crop(image, similarity_transform(*_fit_landmarks(landmarks)), CROP_SIDE)


def crop(image: Image, transform: Transform, side: int, resolution: float = 1) -> Pixels:
    """Return a square crop of an image, shape (side, side, 3). Outside the image it is black.

    Args:
        image: the image.
        transform: maps points of the image to points of the crop.
        side: side of the crop in pixels.
        resolution: the least number of image pixels per crop pixel, along a side. Below 1, the crop
            may be blurred, and the image may not have to be decoded again.
    """
    pixels = image.pixels(resolution * _scale(transform))
    height, width = pixels.shape[:2]
    transform = transform @ _resize_transform(image.width / width, image.height / height)
    if _scale(transform) < _MIN_WARP_SCALE:
        pixels, shrinking = _shrink_region(pixels, transform, side)
        transform = transform @ np.linalg.inv(shrinking)
    warped = cv2.warpAffine(pixels, transform[:2], (side, side), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, np.uint8)


def upright_rotation(landmarks: tuple[Point, ...]) -> complex:
    """Return the rotation that puts a face upright, as a complex number of length 1."""
    scaling, _ = _fit_landmarks(landmarks)
    return scaling / abs(scaling)


def similarity_transform(scaling: complex, shift: complex) -> Transform:
    """Return the transform that maps a point x + iy to scaling * (x + iy) + shift.

    Args:
        scaling: scale and rotation, as the length and the angle of a complex number.
        shift: distance in x and y, in pixels.
    """
    return np.array(
        [
            [scaling.real, -scaling.imag, shift.real],
            [scaling.imag, scaling.real, shift.imag],
            [0, 0, 1],
        ]
    )


def _fit_landmarks(landmarks: tuple[Point, ...]) -> tuple[complex, complex]:
    """Return the scaling and the shift that map landmarks closest to the reference points.

    The fit minimises the sum of squared distances; see ``similarity_transform``.
    """
    source = np.array([complex(*point) for point in landmarks])
    target = np.array([complex(*point) for point in REFERENCE])
    spread = source - source.mean()
    scaling = complex(np.vdot(spread, target - target.mean()) / np.vdot(spread, spread).real)
    return scaling, complex(target.mean() - scaling * source.mean())


def _resize_transform(x_factor: float, y_factor: float) -> Transform:
    """Return the transform that maps points of an image to points of its resized copy.

    Resizing keeps the image's edges in place. Coordinates refer to pixel centres, which are half a
    pixel away from the edges.
    """
    return np.array(
        [
            [x_factor, 0, 0.5 * x_factor - 0.5],
            [0, y_factor, 0.5 * y_factor - 0.5],
            [0, 0, 1],
        ]
    )


def _shrink_region(pixels: Pixels, transform: Transform, side: int) -> tuple[Pixels, Transform]:
    """Average the region that a crop will show down to twice the scale of the crop.

    Returns:
        The averaged region, and the transform that maps points of the image to points of it.
    """
    corners = np.array([[x, y, 1] for x in (0, side - 1) for y in (0, side - 1)])
    x, y, _ = np.linalg.inv(transform) @ corners.T
    height, width = pixels.shape[:2]
    left, right = (_clamp(f(x), width) for f in (np.min, np.max))
    top, bottom = (_clamp(f(y), height) for f in (np.min, np.max))
    region = pixels[top : bottom + 1, left : right + 1]
    scale = _scale(transform) / _MIN_WARP_SCALE
    size = (max(1, round(region.shape[1] * scale)), max(1, round(region.shape[0] * scale)))
    averaged = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
    cropping = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])
    resizing = _resize_transform(size[0] / region.shape[1], size[1] / region.shape[0])
    return np.asarray(averaged, np.uint8), resizing @ cropping


def _scale(transform: Transform) -> float:
    (a, b, _), (c, d, _), _ = transform.tolist()
    return math.sqrt(abs(a * d - b * c))


def _clamp(coordinate: float, size: int) -> int:
    return min(max(round(float(coordinate)), 0), size - 1)
