"""Find the faces in an image with YuNet: boxes, landmarks and scores.

YuNet divides the image into three grids with cells of 8, 16 and 32 pixels. For each cell it
estimates how likely a face is centred there, and where its box and landmarks would be. This module
computes the same boxes and scores as OpenCV's FaceDetectorYN, and more accurate landmarks.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from localaws.rekognition import models
from localaws.rekognition.alignment import Transform, crop, similarity_transform, upright_rotation
from localaws.rekognition.geometry import Box, Point
from localaws.rekognition.images import DETECTION_SIDE, Image, Pixels
from localaws.rekognition.runtime import Network, Outputs

# At OpenCV's default of 0.9, YuNet finds no face in 106 of the 13,233 photographs of Labeled Faces
# in the Wild (LFW). At 0.6 it finds a face in every one.
SCORE_THRESHOLD: Final = 0.6
_IOU_THRESHOLD: Final = 0.3
# Of more candidates than this, only those with the best scores are considered.
_MAX_CANDIDATES: Final = 5000

Rows: TypeAlias = NDArray[np.float64]
"""Candidate faces, shape (n, 15). A row holds left, top, width and height of the box, x and y of
each of the five landmarks, and the score."""

_NO_ROWS: Final = np.empty((0, 15))

# YuNet was trained on faces of 10 to 300 pixels and places the landmarks of larger faces badly.
# Images that are large enough for larger faces get a second, cheap pass at this size.
_COARSE_SIDE: Final = 352
_COARSE_PASS_FROM: Final = 512

# Recognition depends on accurate landmarks, and YuNet places them badly in small and in large
# faces. Each face whose longer side is outside this range gets a close-up: a crop, scaled to a
# fixed size, in which YuNet detects it again. Without close-ups, a face of 84 pixels in a
# photograph of 4032 is hardly recognised. Close-ups of all faces would take a quarter longer and
# recognise 81 instead of 79 of 81 photographs of people in LFW at threshold 95.
_RELIABLE_SIDES: Final = (80, 260)
_CLOSE_UP_SIDE: Final = 192
_CLOSE_UP_FACE: Final = 0.9 * _CLOSE_UP_SIDE
# Decoding half of a close-up's resolution is enough: SFace sees the face no finer than that.
_CLOSE_UP_RESOLUTION: Final = 0.5
# Rekognition returns at most 100 faces.
_MAX_CLOSE_UPS: Final = 100

# Side of a cell of each of YuNet's grids, in pixels.
_STRIDES: Final = (8, 16, 32)
# Images are padded to one of these sides, because OpenVINO plans each new size. All are multiples
# of 32. They fit common photographs, scaled to 960 pixels.
_PADDED_SIDES: Final = (128, 192, 256, 352, 480, 544, 640, 736, 800, 960)


@dataclass(frozen=True, slots=True)
class Face:
    """A detected face. Coordinates are pixels of the image."""

    box: Box
    landmarks: tuple[Point, ...]
    """Left eye, right eye, nose, left and right corner of the mouth; left and right as seen in the
    image."""
    score: float
    """Confidence of the detector, ``SCORE_THRESHOLD`` to 1."""


class FaceDetector:
    """Finds faces in images. Safe to share between threads.

    Args:
        streams: number of images computed at the same time; see ``Network``.

    Raises:
        ModelUnavailable: the model is missing, or differs from the published file.
    """

    def __init__(self, streams: int | None = None) -> None:
        content = models.read(models.YUNET)
        self._full_network = Network(content, (-1, -1), channels_reversed=True, streams=streams)
        # A network of one fixed size does not have to be prepared for each new size.
        size = (_CLOSE_UP_SIDE, _CLOSE_UP_SIDE)
        self._close_up_network = Network(content, size, channels_reversed=True, streams=streams)

    def detect(self, image: Image) -> list[Face]:
        """Return the faces in an image, largest first."""
        pixels = image.pixels(DETECTION_SIDE / max(image.width, image.height))
        views = [_shrink(pixels, DETECTION_SIDE)]
        if max(image.width, image.height) > _COARSE_PASS_FROM:
            views.append(_shrink(views[0], _COARSE_SIDE))
        candidates = [
            _to_image_coordinates(view, rows, image)
            for view, rows in zip(views, _detect_in_views(self._full_network, views), strict=True)
        ]
        rows = _suppress_overlaps(np.concatenate(candidates))
        rows = rows[np.argsort(-rows[:, 2] * rows[:, 3], kind="stable")]
        sides = rows[:, 2:4].max(axis=1) * min(1.0, DETECTION_SIDE / max(image.width, image.height))
        unreliable = (sides < _RELIABLE_SIDES[0]) | (sides > _RELIABLE_SIDES[1])
        refined = np.flatnonzero(unreliable)[:_MAX_CLOSE_UPS]
        rows[refined] = self._refine_landmarks(image, rows[refined])
        return [_face(row) for row in rows.tolist()]

    def _refine_landmarks(self, image: Image, rows: Rows) -> Rows:
        """Replace the landmarks of faces by those detected in a close-up, where YuNet finds one."""
        transforms = [_close_up_transform(_face(row)) for row in rows.tolist()]
        views = [crop(image, t, _CLOSE_UP_SIDE, _CLOSE_UP_RESOLUTION) for t in transforms]
        detected = _detect_in_views(self._close_up_network, views)
        for row, transform, candidates in zip(rows, transforms, detected, strict=True):
            faces = _suppress_overlaps(candidates)
            if len(faces):
                centres = faces[:, :2] + faces[:, 2:4] / 2
                middle = np.abs(centres - _CLOSE_UP_SIDE / 2).sum(axis=1).argmin()
                x, y = faces[middle, 4:14:2], faces[middle, 5:14:2]
                row[4:14:2], row[5:14:2], _ = np.linalg.solve(transform, [x, y, np.ones_like(x)])
        return rows


def _detect_in_views(network: Network, views: list[Pixels]) -> list[Rows]:
    """Return the candidate faces in each view, in pixels of the view."""
    return [
        _decode_outputs(outputs, _padded_side(view.shape[1]))
        for view, outputs in zip(views, network.run(*map(_padded, views)), strict=True)
    ]


def _shrink(pixels: Pixels, max_side: int) -> Pixels:
    """Return the image scaled down so that its longer side has at most ``max_side`` pixels."""
    height, width = pixels.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _to_image_coordinates(view: Pixels, rows: Rows, image: Image) -> Rows:
    """Convert rows from pixels of a view of the whole image to pixels of the image."""
    height, width = view.shape[:2]
    factors = image.width / width, image.height / height
    rows[:, :4] *= np.tile(factors, 2)
    # Box coordinates refer to pixel edges, but landmarks to pixel centres, half a pixel away.
    rows[:, 4:14] = (rows[:, 4:14] + 0.5) * np.tile(factors, 5) - 0.5
    return rows


def _close_up_transform(face: Face) -> Transform:
    """Return the transform that puts a face upright into the middle of a close-up."""
    box, middle = face.box, (_CLOSE_UP_SIDE - 1) / 2
    scaling = upright_rotation(face.landmarks) * _CLOSE_UP_FACE / max(box.width, box.height)
    centre = complex(box.left + box.width / 2 - 0.5, box.top + box.height / 2 - 0.5)
    return similarity_transform(scaling, complex(middle, middle) - scaling * centre)


def _padded(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    below, beside = _padded_side(height) - height, _padded_side(width) - width
    if not below and not beside:
        return pixels
    padded = cv2.copyMakeBorder(pixels, 0, below, 0, beside, cv2.BORDER_CONSTANT)
    return np.asarray(padded, np.uint8)


def _padded_side(side: int) -> int:
    return next(padded for padded in _PADDED_SIDES if padded >= side)


def _decode_outputs(outputs: Outputs, width: int) -> Rows:
    """Return the candidate faces in YuNet's outputs for an image of a padded width in pixels."""
    return np.concatenate(
        [
            # YuNet has twelve outputs: four kinds, each for three cell sizes.
            _decode_grid(outputs[number :: len(_STRIDES)], cell, width // cell)
            for number, cell in enumerate(_STRIDES)
        ]
    )


def _decode_grid(outputs: Outputs, cell: int, columns: int) -> Rows:
    """Return the candidate faces in the outputs for one cell size, in pixels."""
    is_face, is_centre, boxes, landmarks = (output[0] for output in outputs)
    squared_scores = is_face * is_centre
    chosen = np.flatnonzero(squared_scores >= SCORE_THRESHOLD**2)
    if not chosen.size:
        return _NO_ROWS
    corners = np.stack([chosen % columns, chosen // columns], axis=1)
    centres = (boxes[chosen, :2].astype(np.float64) + corners) * cell
    sizes = np.exp(boxes[chosen, 2:].astype(np.float64)) * cell
    points = (landmarks[chosen] + np.tile(corners, 5)) * cell
    scores = np.sqrt(squared_scores[chosen])
    return np.concatenate([centres - sizes / 2, sizes, points, scores], axis=1)


def _suppress_overlaps(rows: Rows) -> Rows:
    """Keep the best-scored of each set of overlapping boxes (non-maximum suppression).

    The landmarks of a kept row are the mean of all overlapping rows, weighted by score, because
    neighbouring cells detect the same face with different errors.
    """
    rows = rows[np.argsort(-rows[:, -1], kind="stable")][:_MAX_CANDIDATES]
    kept: list[Rows] = []
    while len(rows):
        together = _intersection_over_union(rows[0], rows) > _IOU_THRESHOLD
        together[0] = True
        best, weights = rows[0].copy(), rows[together, -1]
        best[4:14] = weights @ rows[together, 4:14] / weights.sum()
        kept.append(best)
        rows = rows[~together]
    return np.array(kept).reshape(-1, 15)


def _intersection_over_union(row: Rows, rows: Rows) -> NDArray[np.float64]:
    """Return the intersection over union of a box with each of several boxes, 0 to 1."""
    left, top = np.maximum(row[:2], rows[:, :2]).T
    right, bottom = np.minimum(row[:2] + row[2:4], rows[:, :2] + rows[:, 2:4]).T
    shared = (right - left).clip(0) * (bottom - top).clip(0)
    overlap: NDArray[np.float64] = shared / (row[2] * row[3] + rows[:, 2] * rows[:, 3] - shared)
    return overlap


def _face(row: list[float]) -> Face:
    landmarks = tuple(Point(x, y) for x, y in zip(row[4:14:2], row[5:14:2], strict=True))
    return Face(Box(*row[:4]), landmarks, row[14])
