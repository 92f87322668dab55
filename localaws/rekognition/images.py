"""From the bytes of a photograph to its pixels: JPEG and PNG, recognised by content.

The limits are Rekognition's, https://docs.aws.amazon.com/rekognition/latest/dg/limits.html.
"""

import io
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile

from localaws.rekognition.exceptions import (
    ImageTooLargeException,
    InvalidImageFormatException,
    InvalidParameterException,
)

Image: TypeAlias = NDArray[np.uint8]
"""Pixels, shape (height, width, 3), in OpenCV's order blue, green, red."""

MAX_S3_OBJECT_BYTES: Final = 15 * 1024 * 1024
MIN_SIDE: Final = 80
# Rekognition names no number of pixels. This one is where Pillow begins to suspect a decompression
# bomb; decoded, it takes 256 MB.
MAX_PIXELS: Final = 89_478_485

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


def decode(content: bytes) -> Image:
    """Return the upright pixels of a JPEG or PNG file.

    The size is judged by the header, before anything is decompressed.

    Raises:
        InvalidImageFormatException: neither JPEG nor PNG, or cut short, or corrupt.
        ImageTooLargeException: more pixels than ``MAX_PIXELS``.
        InvalidParameterException: a side is shorter than ``MIN_SIDE``; that AWS says no more than
            "Request has invalid parameters" is reported in botocore's issue 1366.
    """
    picture = _open(content)
    if picture.width * picture.height > MAX_PIXELS:
        raise ImageTooLargeException
    if min(picture.size) < MIN_SIDE:
        raise InvalidParameterException
    try:
        picture.load()
        colour = _upright(picture, _orientation(picture))
    # What Pillow's decoders raise on corrupt data is not limited to its own errors.
    except Exception as error:
        raise InvalidImageFormatException from error
    return np.asarray(cv2.cvtColor(np.asarray(colour), cv2.COLOR_RGB2BGR), np.uint8)


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


def _upright(picture: PillowImage.Image, orientation: int) -> PillowImage.Image:
    colour = _rgb(picture)
    return colour.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else colour


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
