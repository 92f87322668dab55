"""Read photographs from files, in a size that a call to Rekognition takes."""

from io import BytesIO
from pathlib import Path

from chalicelib.errors import UnsupportedImage
from chalicelib.images import MAX_INLINE_BYTES, Photograph, from_bytes
from chalicelib.keys import PREFIX

LONG_SIDE = 1920
"""Pixels of a photograph that was made smaller, as the pages do it; more help no recognition."""
QUALITY = 90


def read(path: Path) -> Photograph:
    """Read a photograph from a file, and make it smaller if it is too large for a call.

    Raises:
        chalicelib.errors.Problem: it is not a usable photograph.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    photograph = from_bytes(data, max(len(data), MAX_INLINE_BYTES))
    return photograph if len(data) <= MAX_INLINE_BYTES else _smaller(photograph)


def _smaller(photograph: Photograph) -> Photograph:
    from PIL import Image, ImageOps  # noqa: PLC0415 - slow and seldom needed

    try:
        with Image.open(BytesIO(photograph.data)) as image:
            image.thumbnail((LONG_SIDE, LONG_SIDE))
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises these for damaged files
        raise UnsupportedImage("The image is damaged.") from error
    file = BytesIO()
    upright.save(file, "JPEG", quality=QUALITY)
    return from_bytes(file.getvalue())


def file_name(key: str) -> str:
    """Return the part of a photograph's key that follows the person's id."""
    return key.removeprefix(PREFIX).partition("/")[2]
