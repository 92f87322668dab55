"""From the bytes of a photograph to its pixels: JPEG and PNG, recognised by content.

The limits are Rekognition's, https://docs.aws.amazon.com/rekognition/latest/dg/limits.html.
"""

import io
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
)

Pixels: TypeAlias = NDArray[np.uint8]
"""Shape (height, width, 3), in the order red, green, blue."""

MAX_S3_OBJECT_BYTES: Final = 15 * 1024 * 1024
MIN_SIDE: Final = 80
# Rekognition names no number of pixels. This one is where Pillow begins to suspect a decompression
# bomb; decoded, it takes 256 MB.
MAX_PIXELS: Final = 89_478_485

# Faces are looked for in an image of at most so many pixels a side. Rekognition finds faces from 40
# pixels in 1920, a 48th of the longer side: here they have 20, which YuNet finds. More pixels cost
# time and find only smaller faces.
DETECTION_SIDE: Final = 960

_ORIENTATION_TAG: Final = 0x0112
_UPRIGHT: Final = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}
# Those that exchange width and height.
_SIDEWAYS: Final = {5, 6, 7, 8}


@dataclass(slots=True, eq=False)
class Image:
    """A photograph, decoded as finely as it has to be; for one thread at a time.

    Faces are looked for in a small version, and most are large enough in it to be compared. The
    decoder of a JPEG makes a half, a quarter or an eighth in less time than the whole.
    """

    width: int
    height: int
    """In pixels of the whole upright photograph."""
    _content: bytes = field(repr=False)
    _reduction: int = field(default=0, init=False, repr=False)
    _pixels: Pixels = field(init=False, repr=False)

    def pixels(self, scale: float) -> Pixels:
        """Return the pixels of the upright photograph, made smaller perhaps.

        Args:
            scale: they are at least so fine: 1 is the photograph's own size, 0.5 half of it.

        Raises:
            InvalidImageFormatException: the data is cut short or corrupt.
        """
        reduction = max(1, int(1 / scale))
        if not 0 < self._reduction <= reduction:
            self._pixels = _pixels(self._content, reduction)
            self._reduction = reduction
        return self._pixels


def decode(content: bytes) -> Image:
    """Return the photograph in a JPEG or PNG file.

    The size is judged by the header, before anything is decompressed. All of the data is read, so
    that what is corrupt is refused here.

    Raises:
        InvalidImageFormatException: neither JPEG nor PNG, or cut short, or corrupt.
        ImageTooLargeException: more pixels than ``MAX_PIXELS``.
        InvalidParameterException: a side is shorter than ``MIN_SIDE``; that AWS says no more than
            "Request has invalid parameters" is reported in botocore's issue 1366.
    """
    picture = _open(content)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise ImageTooLargeException
    if min(width, height) < MIN_SIDE:
        raise InvalidParameterException
    if _orientation(picture) in _SIDEWAYS:
        width, height = height, width
    image = Image(width, height, content)
    image.pixels(DETECTION_SIDE / max(width, height))
    return image


def _pixels(content: bytes, reduction: int) -> Pixels:
    """Return the upright pixels of a file, its sides divided by at most so much."""
    picture = _open(content)
    try:
        orientation = _orientation(picture)
        width, height = picture.size
        picture.draft(None, (max(1, width // reduction), max(1, height // reduction)))
        picture.load()
        colour = _rgb(picture)
        left_to_do = reduction * picture.width // width
        if left_to_do > 1:
            colour = colour.reduce(left_to_do)
        if orientation in _UPRIGHT:
            colour = colour.transpose(_UPRIGHT[orientation])
        return np.asarray(colour, np.uint8)
    # What Pillow's decoders raise on corrupt data is not limited to its own errors.
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
    """Return the EXIF orientation, 1 to 8; like AWS, look for it in JPEG only."""
    if picture.format == "PNG":
        return 1
    try:
        orientation = picture.getexif().get(_ORIENTATION_TAG, 1)
    # A camera's malformed EXIF block is no reason to refuse its photograph.
    except Exception:
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _rgb(picture: PillowImage.Image) -> PillowImage.Image:
    """Return the picture in mode RGB, with transparent parts on white."""
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        # 16-bit greyscale, which Pillow's own conversion would clip to white.
        grey = (np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8)
        return PillowImage.fromarray(grey).convert("RGB")
    if picture.has_transparency_data:
        shown = picture.convert("RGBA")
        white = PillowImage.new("RGBA", shown.size, "white")
        return PillowImage.alpha_composite(white, shown).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")
