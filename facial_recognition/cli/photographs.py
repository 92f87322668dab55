"""Photographs from files, which a call to Rekognition can take."""

from io import BytesIO
from pathlib import Path

from chalicelib.errors import UnsupportedImage
from chalicelib.images import MAX_INLINE_BYTES, Photograph, from_bytes

LONG_SIDE = 1920
"""Pixels to which the pages make photographs smaller, too: more does not help recognition."""
QUALITY = 90


def read(path: Path) -> Photograph:
    """Read a photograph, and make it smaller if a call cannot take it as it is.

    Raises:
        Problem: it cannot be read, or is too small.
    """
    data = path.read_bytes()
    photograph = from_bytes(data, max(len(data), MAX_INLINE_BYTES))
    return photograph if len(data) <= MAX_INLINE_BYTES else _smaller(photograph)


def _smaller(photograph: Photograph) -> Photograph:
    from PIL import Image, ImageOps  # noqa: PLC0415 - takes time, and is seldom needed

    try:
        with Image.open(BytesIO(photograph.data)) as image:
            image.thumbnail((LONG_SIDE, LONG_SIDE))
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:  # which Pillow raises for damaged files
        raise UnsupportedImage("The image is damaged.") from error
    file = BytesIO()
    upright.save(file, "JPEG", quality=QUALITY)
    return from_bytes(file.getvalue())
