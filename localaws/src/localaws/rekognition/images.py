"""Decode photographs: JPEG and PNG, recognised by their content.

The limits are Rekognition's, https://docs.aws.amazon.com/rekognition/latest/dg/limits.html.
"""

import io
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile

from localaws.rekognition.exceptions import (
    ImageTooLargeException,
    InvalidImageFormatException,
    InvalidParameterException,
    ThrottlingException,
)

Pixels: TypeAlias = NDArray[np.uint8]
"""Shape (height, width, 3), in the order red, green, blue."""

MAX_S3_OBJECT_BYTES: Final = 15 * 1024 * 1024
MIN_SIDE: Final = 80
# Rekognition documents no limit on pixels. Above this number, Pillow warns of a decompression bomb.
# An image of this size takes 256 MB when decoded.
MAX_PIXELS: Final = 89_478_485

MOST_SECONDS: Final = 25.0
"""The longest that an image waits until others are decoded; SDKs wait for 60 seconds."""

# For detection, images are scaled down to this longer side, in pixels. Rekognition finds faces of
# at least 40 pixels in an image of 1920, a 48th of the longer side. At 960 pixels, these faces have
# 20 pixels, and YuNet finds them. A larger image would take more time and only add smaller faces.
DETECTION_SIDE: Final = 960

_ORIENTATION_TAG: Final = 0x0112
_TO_UPRIGHT: Final = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}
# Orientations that swap width and height.
_SWAPS_SIDES: Final = {5, 6, 7, 8}


class _Turns:
    """Limits the pixels that are decoded at once; the images wait for their turn, in order.

    A PNG is decoded at full size before it can be reduced. Ordinary photographs fit side by side.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Wait until an image of this size may be decoded.

        Raises:
            ThrottlingException: that took longer than ``MOST_SECONDS``.
        """
        taken = min(pixels, self._most)
        me = object()
        with self._changed:
            self._waiting.append(me)
            is_my_turn = self._changed.wait_for(
                lambda: self._waiting[0] is me and self._free >= taken, MOST_SECONDS
            )
            self._waiting.remove(me)
            self._changed.notify_all()
            if not is_my_turn:
                raise ThrottlingException
            self._free -= taken
        try:
            yield
        finally:
            with self._changed:
                self._free += taken
                self._changed.notify_all()


_turns: Final = _Turns(MAX_PIXELS)


@dataclass(slots=True, eq=False)
class Image:
    """A photograph, decoded only at the resolution that is needed. Not safe to share.

    Faces are detected in a small version, and most faces are large enough in it to be compared. A
    JPEG decoder produces a half, a quarter or an eighth of the size faster than the full size.
    """

    width: int
    height: int
    """Width and height are those of the upright photograph at full size, in pixels."""
    _content: bytes = field(repr=False)
    _reduction: int = field(default=0, init=False, repr=False)
    _pixels: Pixels = field(init=False, repr=False)

    def pixels(self, scale: float) -> Pixels:
        """Return the pixels of the upright photograph, at the given scale or larger.

        Args:
            scale: the least scale that the caller needs: 1 is full size, 0.5 is half of each side.

        Raises:
            InvalidImageFormatException: the data is truncated or corrupt.
        """
        reduction = max(1, int(1 / scale))
        if not 0 < self._reduction <= reduction:
            with _turns.of(self.width * self.height):
                self._pixels = _pixels(self._content, reduction)
            self._reduction = reduction
        return self._pixels


def decode(content: bytes) -> Image:
    """Return the photograph in a JPEG or PNG file.

    The size is checked in the header, before anything is decompressed. Then all data is decoded
    once, so corrupt files fail here.

    Raises:
        InvalidImageFormatException: the file is neither JPEG nor PNG, or is truncated or corrupt.
        ImageTooLargeException: the image has more pixels than ``MAX_PIXELS``.
        InvalidParameterException: a side is shorter than ``MIN_SIDE``. AWS answers only "Request
            has invalid parameters", as botocore's issue 1366 reports.
    """
    picture = _open(content)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise ImageTooLargeException
    if min(width, height) < MIN_SIDE:
        raise InvalidParameterException
    if _orientation(picture) in _SWAPS_SIDES:
        width, height = height, width
    image = Image(width, height, content)
    image.pixels(DETECTION_SIDE / max(width, height))
    return image


def _pixels(content: bytes, reduction: int) -> Pixels:
    """Return the upright pixels of a file, with sides divided by at most ``reduction``."""
    picture = _open(content)
    try:
        orientation = _orientation(picture)
        width, height = picture.size
        picture.draft(None, (max(1, width // reduction), max(1, height // reduction)))
        picture.load()
        colour = _rgb(picture)
        remaining = reduction * picture.width // width
        if remaining > 1:
            colour = colour.reduce(remaining)
        if orientation in _TO_UPRIGHT:
            colour = colour.transpose(_TO_UPRIGHT[orientation])
        return np.asarray(colour, np.uint8)
    # On corrupt data, Pillow's decoders raise other errors than Pillow's own as well.
    except Exception as error:
        raise InvalidImageFormatException from error


def _open(content: bytes) -> ImageFile.ImageFile:
    try:
        return PillowImage.open(io.BytesIO(content), formats=("JPEG", "PNG"))
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
        raise ImageTooLargeException from error
    except Exception as error:
        raise InvalidImageFormatException from error


def _orientation(picture: ImageFile.ImageFile) -> int:
    """Return the EXIF orientation, 1 to 8. Like AWS, read it from JPEG files only."""
    if picture.format == "PNG":
        return 1
    try:
        orientation = picture.getexif().get(_ORIENTATION_TAG, 1)
    # Cameras write malformed EXIF blocks. Their photographs are valid all the same.
    except Exception:
        return 1
    return orientation if orientation in _TO_UPRIGHT else 1


def _rgb(picture: PillowImage.Image) -> PillowImage.Image:
    """Return the picture in mode RGB, with transparent parts in white."""
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        # Pillow's own conversion would clip 16-bit greyscale to white.
        grey = (np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8)
        return PillowImage.fromarray(grey).convert("RGB")
    if picture.has_transparency_data:
        shown = picture.convert("RGBA")
        white = PillowImage.new("RGBA", shown.size, "white")
        return PillowImage.alpha_composite(white, shown).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")
