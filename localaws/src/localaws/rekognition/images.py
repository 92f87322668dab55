"""Decode photographs: JPEG and PNG, recognised by their content.

The limits are Rekognition's, https://docs.aws.amazon.com/rekognition/latest/dg/limits.html.
"""

import io
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile

from localaws import memory
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

MOST_SECONDS: Final = 45.0
"""The longest that an image waits for others; SDKs wait for 60 seconds."""

# For detection, images are scaled down to this longer side, in pixels. Rekognition finds faces of
# at least 40 pixels in an image of 1920, a 48th of the longer side. At 960 pixels, these faces have
# 20 pixels, and YuNet finds them. A larger image would take more time and only add smaller faces.
DETECTION_SIDE: Final = 960

# A picture is brought into its final form in strips of about this many pixels, so that no second
# copy of a large picture is needed.
_STRIP_PIXELS: Final = 4_000_000
# A scan of a JPEG may touch every pixel and take few bytes: without a limit, a file of 5 MB could
# hold 30,000 of them. Photographs have up to 20; this allows 100 in the largest image.
_MOST_SCANNED_PIXELS: Final = 100 * MAX_PIXELS
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
# Above this number of pixels, free memory is given back to the system after the work.
_LARGE: Final = 4 * _STRIP_PIXELS

_ORIENTATION_TAG: Final = 0x0112
# For each EXIF orientation, the view of an upright array in which the file's rows are written.
_VIEWS: Final[dict[int, Callable[[Pixels], Pixels]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
# Orientations that swap width and height.
_SWAPS_SIDES: Final = {5, 6, 7, 8}


class _Turns:
    """Limits the pixels that are worked on at once; the images wait for their turn, in order.

    A PNG is decoded at full size before it can be reduced. Ordinary photographs fit side by side.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Wait until an image of this size may be worked on.

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
    _pixels: Pixels | None = field(default=None, init=False, repr=False)

    def pixels(self, scale: float) -> Pixels:
        """Return the pixels of the upright photograph, at the given scale or larger.

        Args:
            scale: the least scale that the caller needs: 1 is full size, 0.5 is half of each side.

        Raises:
            InvalidImageFormatException: the data is truncated or corrupt.
        """
        reduction = max(1, int(1 / scale))
        if not 0 < self._reduction <= reduction:
            self._pixels, self._reduction = None, 0  # both would need their memory at once
            self._pixels = _decoded(self._content, reduction)
            self._reduction = reduction
        assert self._pixels is not None
        return self._pixels

    def release(self) -> None:
        """Forget the pixels."""
        self._pixels, self._reduction = None, 0


@contextmanager
def in_turn(content: bytes) -> Iterator[Image]:
    """Decode a photograph, as :func:`decode` does, when it is its turn; it lasts as long as that.

    Whoever holds one photograph must not wait for another.

    Raises:
        ThrottlingException: it would have to wait for longer than ``MOST_SECONDS``.
    """
    image = _described(content)
    size = image.width * image.height
    with _turns.of(size):
        try:
            yield _prepared(image)
        finally:
            image.release()
            if size > _LARGE:
                memory.give_back()


def decode(content: bytes) -> Image:
    """Return the photograph in a JPEG or PNG file.

    The size is checked in the header, before anything is decompressed. Then all data is decoded
    once, so corrupt files fail here.

    Raises:
        InvalidImageFormatException: the file is neither JPEG nor PNG, is truncated or corrupt, or
            has far more scans than a photograph.
        ImageTooLargeException: the image has more pixels than ``MAX_PIXELS``.
        InvalidParameterException: a side is shorter than ``MIN_SIDE``. AWS answers only "Request
            has invalid parameters", as botocore's issue 1366 reports.
    """
    return _prepared(_described(content))


def _described(content: bytes) -> Image:
    """Return a photograph of which only the header was read."""
    picture = _open(content)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise ImageTooLargeException
    if min(width, height) < MIN_SIDE:
        raise InvalidParameterException
    if _scans(content) * width * height > _MOST_SCANNED_PIXELS:
        raise InvalidImageFormatException
    if _orientation(picture) in _SWAPS_SIDES:
        width, height = height, width
    return Image(width, height, content)


def _scans(content: bytes) -> int:
    """Return the number of scans in a JPEG file; 0 for a PNG.

    Source: ITU-T T.81, annex B. Every marker has a length, except those that the pattern leaves out
    and the two at the ends.
    """
    count, position = 0, 2
    if not content.startswith(b"\xff\xd8"):
        return 0
    while (marker := _MARKER.search(content, position)) and marker[0] != _END_OF_IMAGE:
        position = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
        count += marker[0] == _START_OF_SCAN
    return count


def _prepared(image: Image) -> Image:
    """Decode a photograph as finely as detection needs it."""
    image.pixels(DETECTION_SIDE / max(image.width, image.height))
    return image


def _decoded(content: bytes, reduction: int) -> Pixels:
    """Return the upright pixels of a file, with sides divided by at most ``reduction``."""
    picture = _open(content)
    try:
        view, (width, height) = _VIEWS[_orientation(picture)], picture.size
        picture.draft(None, (max(1, width // reduction), max(1, height // reduction)))
        picture.load()
        remaining = max(1, reduction * picture.width // width)
        rows, columns = -(-picture.height // remaining), -(-picture.width // remaining)
        is_turned = _orientation(picture) in _SWAPS_SIDES
        upright = np.empty((columns, rows, 3) if is_turned else (rows, columns, 3), np.uint8)
        stored = view(upright)
        step = max(1, _STRIP_PIXELS // (picture.width * remaining))  # rows of ``stored``
        for first in range(0, rows, step):
            last = min(first + step, rows)
            box = (0, first * remaining, picture.width, min(last * remaining, picture.height))
            stored[first:last] = np.asarray(_rgb(picture.crop(box)).reduce(remaining))
        return upright
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
    return orientation if orientation in _VIEWS else 1


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
