"""YuNet: the faces in an image, with their boxes and landmarks.

YuNet lays three grids over the image, of cells of 8, 16 and 32 pixels, and says of each cell how
likely a face is centred there and where its box and landmarks would be. The boxes and scores read
from that are those of OpenCV's FaceDetectorYN; the landmarks are better.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from localaws.rekognition import models
from localaws.rekognition.alignment import Transform, cut_out, similarity, upright
from localaws.rekognition.geometry import Box, Point
from localaws.rekognition.images import DETECTION_SIDE, Image, Pixels
from localaws.rekognition.runtime import Network, Outputs

# At OpenCV's default of 0.9 YuNet misses 106 of the 13,233 photographs of Labeled Faces in the
# Wild; at 0.6 it misses none.
SCORE_THRESHOLD: Final = 0.6
_OVERLAP_THRESHOLD: Final = 0.3
# Of a picture full of faces, or of what looks like them, those with the best scores.
_MOST_CANDIDATES: Final = 5000

Rows: TypeAlias = NDArray[np.float64]
"""What may be faces, a row for each: left, top, width and height of the box; x and y of five
landmarks; the score."""

_NO_ROWS: Final = np.empty((0, 15))

# YuNet was made for faces of 10 to 300 pixels, and places the landmarks of larger ones badly, so a
# second and cheap look is taken from afar at every image large enough to hold such faces.
_COARSE_SIDE: Final = 352
_TWO_LOOKS_FROM: Final = 512

# The landmarks decide how well a face is recognised, and YuNet places them badly in faces that it
# sees small or large. It looks at each of those once more, made larger or smaller; without that, a
# face of 84 pixels in a photograph of 4032 is hardly recognised. To look so at every face takes a
# quarter longer, and finds 81 instead of 79 of 81 photographs of people in LFW at 95.
_WELL_SEEN: Final = (80, 260)
_CLOSE_UP_SIDE: Final = 192
_CLOSE_UP_FACE: Final = 0.9 * _CLOSE_UP_SIDE
# With half of these pixels a face is as fine as SFace sees it.
_CLOSE_UP_FINENESS: Final = 0.5
# Rekognition tells no more faces.
_MOST_CLOSE_UPS: Final = 100

_CELLS: Final = (8, 16, 32)
# Images are padded to one of these, all multiples of 32, because OpenVINO plans and keeps some
# megabytes for each size that it meets. Those of common photographs, seen at up to 960 pixels.
_SIDES: Final = (128, 192, 256, 352, 480, 544, 640, 736, 800, 960)


@dataclass(frozen=True, slots=True)
class Face:
    """A face that was found; coordinates are pixels of the image."""

    box: Box
    landmarks: tuple[Point, ...]
    """Image-left eye, image-right eye, nose, image-left and image-right corner of the mouth."""
    score: float
    """How sure the detector is: ``SCORE_THRESHOLD`` to 1."""


class FaceDetector:
    """Finds faces; safe to share between threads."""

    def __init__(self, streams: int | None = None) -> None:
        content = models.read(models.YUNET)
        self._any_size = Network(content, (-1, -1), channels_reversed=True, streams=streams)
        # A network that sees but one size needs not be made ready for another each time.
        size = (_CLOSE_UP_SIDE, _CLOSE_UP_SIDE)
        self._close_up = Network(content, size, channels_reversed=True, streams=streams)

    def detect(self, image: Image) -> list[Face]:
        """Return the faces in an image, the largest first."""
        pixels = image.pixels(DETECTION_SIDE / max(image.width, image.height))
        looks = [_at_most(DETECTION_SIDE, pixels)]
        if max(image.width, image.height) > _TWO_LOOKS_FROM:
            looks.append(_at_most(_COARSE_SIDE, looks[0]))
        seen = _see(self._any_size, looks)
        rows = _apart(
            np.concatenate([_enlarged(*pair, image) for pair in zip(looks, seen, strict=True)])
        )
        rows = rows[np.argsort(-rows[:, 2] * rows[:, 3], kind="stable")]
        sides = rows[:, 2:4].max(axis=1) * min(1.0, DETECTION_SIDE / max(image.width, image.height))
        badly_seen = (sides < _WELL_SEEN[0]) | (sides > _WELL_SEEN[1])
        closer = np.flatnonzero(badly_seen)[:_MOST_CLOSE_UPS]
        rows[closer] = self._look_closer(image, rows[closer])
        return [_face(row) for row in rows.tolist()]

    def _look_closer(self, image: Image, rows: Rows) -> Rows:
        """Return faces with their landmarks where they are seen from close by."""
        transforms = [_close_up(_face(row)) for row in rows.tolist()]
        looks = [cut_out(image, t, _CLOSE_UP_SIDE, _CLOSE_UP_FINENESS) for t in transforms]
        seen = _see(self._close_up, looks)
        for row, transform, candidates in zip(rows, transforms, seen, strict=True):
            faces = _apart(candidates)
            if len(faces):
                centres = faces[:, :2] + faces[:, 2:4] / 2
                middle = np.abs(centres - _CLOSE_UP_SIDE / 2).sum(axis=1).argmin()
                x, y = faces[middle, 4:14:2], faces[middle, 5:14:2]
                row[4:14:2], row[5:14:2], _ = np.linalg.solve(transform, [x, y, np.ones_like(x)])
        return rows


def _see(network: Network, looks: list[Pixels]) -> list[Rows]:
    """Return what YuNet takes for faces in each look at an image, in pixels of the look."""
    return [
        _candidates(outputs, _padded_side(look.shape[1]))
        for look, outputs in zip(looks, network.run(*map(_padded, looks)), strict=True)
    ]


def _at_most(longest: int, pixels: Pixels) -> Pixels:
    """Make an image smaller, if it is longer, to have so many pixels on its longer side."""
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _enlarged(look: Pixels, rows: Rows, image: Image) -> Rows:
    """Return what was seen in a look at the whole image in pixels of the image."""
    height, width = look.shape[:2]
    factors = image.width / width, image.height / height
    rows[:, :4] *= np.tile(factors, 2)
    # Landmarks name the centres of pixels; the edges of the image stay in place.
    rows[:, 4:14] = (rows[:, 4:14] + 0.5) * np.tile(factors, 5) - 0.5
    return rows


def _close_up(face: Face) -> Transform:
    """Return the transform that puts a face upright into the middle of a look of its own."""
    box, middle = face.box, (_CLOSE_UP_SIDE - 1) / 2
    turn = upright(face.landmarks) * _CLOSE_UP_FACE / max(box.width, box.height)
    centre = complex(box.left + box.width / 2 - 0.5, box.top + box.height / 2 - 0.5)
    return similarity(turn, complex(middle, middle) - turn * centre)


def _padded(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    below, beside = _padded_side(height) - height, _padded_side(width) - width
    if not below and not beside:
        return pixels
    padded = cv2.copyMakeBorder(pixels, 0, below, 0, beside, cv2.BORDER_CONSTANT)
    return np.asarray(padded, np.uint8)


def _padded_side(side: int) -> int:
    return next(padded for padded in _SIDES if padded >= side)


def _candidates(outputs: Outputs, width: int) -> Rows:
    """Return what YuNet takes for faces in an image of a width."""
    return np.concatenate(
        [
            # There are twelve outputs: one of each kind for each size of cells.
            _cells(outputs[number :: len(_CELLS)], cell, width // cell)
            for number, cell in enumerate(_CELLS)
        ]
    )


def _cells(outputs: Outputs, cell: int, columns: int) -> Rows:
    """Return the rows of the cells of one size."""
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


def _apart(rows: Rows) -> Rows:
    """Of boxes that overlap, keep the one with the best score, with the mean of all landmarks.

    The neighbours of the best cell see the same face, and err in other ways.
    """
    rows = rows[np.argsort(-rows[:, -1], kind="stable")][:_MOST_CANDIDATES]
    kept: list[Rows] = []
    while len(rows):
        together = _overlap(rows[0], rows) > _OVERLAP_THRESHOLD
        together[0] = True
        best, weights = rows[0].copy(), rows[together, -1]
        best[4:14] = weights @ rows[together, 4:14] / weights.sum()
        kept.append(best)
        rows = rows[~together]
    return np.array(kept).reshape(-1, 15)


def _overlap(row: Rows, rows: Rows) -> NDArray[np.float64]:
    """Return the area that a box shares with others as a part of all that both cover, 0 to 1."""
    left, top = np.maximum(row[:2], rows[:, :2]).T
    right, bottom = np.minimum(row[:2] + row[2:4], rows[:, :2] + rows[:, 2:4]).T
    shared = (right - left).clip(0) * (bottom - top).clip(0)
    overlap: NDArray[np.float64] = shared / (row[2] * row[3] + rows[:, 2] * rows[:, 3] - shared)
    return overlap


def _face(row: list[float]) -> Face:
    landmarks = tuple(Point(x, y) for x, y in zip(row[4:14:2], row[5:14:2], strict=True))
    return Face(Box(*row[:4]), landmarks, row[14])
