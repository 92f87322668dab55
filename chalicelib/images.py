"""What counts as a photograph: taken out of its envelope, recognised by content, measured.

Only headers are read here. The pixels are Rekognition's business, and no image library has to
be loaded into Lambda for what a few bytes tell.
"""

import base64
import binascii
import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from functools import cached_property

from chalicelib.errors import ImageTooLarge, ImageTooSmall, UnsupportedImage

MAX_INLINE_BYTES = 4 * 1024 * 1024
"""A photograph inside a request: Lambda takes 6 MB, less base64 and envelope."""
MAX_STORED_BYTES = 15 * 1024 * 1024
"""A photograph in S3: Rekognition reads no larger one."""
MIN_SIDE = 80
"""Pixels: Rekognition refuses an image that is smaller in either direction."""

JPEG = "image/jpeg"
PNG = "image/png"
EXTENSIONS = {JPEG: "jpg", PNG: "png"}

_DATA_URL = re.compile(r"\s*data:[^,;]*(?:;[^,;]*)*?;base64,", re.IGNORECASE)
_WHITE_SPACE = re.compile(r"\s+")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""A marker inside entropy-coded data: there 0xFF is followed by zero or a restart marker only."""
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9

_OTHERS = (
    (re.compile(rb"GIF8[79]a"), "a GIF"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "a WebP"),
    (re.compile(rb"....ftyp(?:hei|hev|mif1|msf1)", re.DOTALL), "a HEIC"),
    (re.compile(rb"....ftypavi", re.DOTALL), "an AVIF"),
    (re.compile(rb"BM"), "a BMP"),
    (re.compile(rb"II\*\x00|MM\x00\*"), "a TIFF"),
    (re.compile(rb"%PDF"), "a PDF"),
    (re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<svg", re.IGNORECASE), "an SVG"),
)


class Photograph:
    """A JPEG or PNG that is whole, with its size in pixels as stored (before EXIF rotation)."""

    # No dataclass: msgspec would read one member by member instead of asking for the photograph.
    def __init__(self, data: bytes, media_type: str, width: int, height: int) -> None:
        """Take what :func:`from_bytes` found out."""
        self.data = data
        self.media_type = media_type
        self.width = width
        self.height = height

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


def from_base64(text: str) -> Photograph:
    """Read a photograph from base64 or a ``data:`` URL.

    Raises:
        UnsupportedImage, ImageTooLarge, ImageTooSmall: as :func:`from_bytes`.
    """
    prefix = _DATA_URL.match(text)
    encoded = _WHITE_SPACE.sub("", text[prefix.end() :] if prefix else text)
    if len(encoded) // 4 * 3 > MAX_INLINE_BYTES + 2:
        raise _too_large(len(encoded) // 4 * 3)
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise UnsupportedImage("The image is not valid base64.") from None
    return from_bytes(data)


def from_bytes(data: bytes, most: int = MAX_INLINE_BYTES) -> Photograph:
    """Recognise a photograph by its content.

    Raises:
        UnsupportedImage: it is no JPEG or PNG, or it is cut off or damaged.
        ImageTooLarge: it has more than ``most`` bytes.
        ImageTooSmall: a side has fewer than :data:`MIN_SIDE` pixels.
    """
    if len(data) > most:
        raise _too_large(len(data))
    try:
        if data.startswith(_JPEG_SIGNATURE):
            media_type, (width, height) = JPEG, _jpeg_size(data)
        elif data.startswith(_PNG_SIGNATURE):
            media_type, (width, height) = PNG, _png_size(data)
        else:
            raise UnsupportedImage(_what_it_is(data))
    except (struct.error, IndexError):
        raise UnsupportedImage("The image is damaged or was cut off on its way.") from None
    if min(width, height) < MIN_SIDE:
        raise ImageTooSmall(
            f"The image has {width}x{height} pixels; at least {MIN_SIDE}x{MIN_SIDE} are needed."
        )
    return Photograph(data, media_type, width, height)


def _too_large(size: int) -> ImageTooLarge:
    return ImageTooLarge(
        f"The image has {size / 1024**2:.1f} MiB; in a request it may have"
        f" {MAX_INLINE_BYTES // 1024**2} MiB. Register without an image to get an address to"
        f" which up to {MAX_STORED_BYTES // 1024**2} MiB can be uploaded."
    )


def _what_it_is(data: bytes) -> str:
    if not data:
        return "The image is empty."
    for pattern, name in _OTHERS:
        if pattern.match(data):
            return f"The image is {name} file; only JPEG and PNG are read."
    return "The image is neither a JPEG nor a PNG."


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the segments of a JPEG to its end; return width and height of its frame.

    Source: ITU-T T.81, annex B.
    """
    size = None
    for marker, start in _jpeg_segments(data):
        if marker in _JPEG_FRAMES and size is None:
            height, width = struct.unpack_from(">HH", data, start + 3)
            size = width, height
    if size is None:
        raise UnsupportedImage("The image is a JPEG without a picture in it.")
    return size


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and offset of each segment's length field, up to the end of the image."""
    position = 2
    while True:
        if data[position] != 0xFF:
            raise UnsupportedImage("The image is a damaged JPEG.")
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        position += 1
        if marker == _JPEG_END:
            return
        yield marker, position
        position += struct.unpack_from(">H", data, position)[0]
        if marker == _JPEG_SCAN:
            found = _JPEG_MARKER.search(data, position)
            if found is None:
                raise UnsupportedImage("The image is a JPEG that was cut off on its way.")
            position = found.start()


def _png_size(data: bytes) -> tuple[int, int]:
    """Walk the chunks of a PNG to its end; return width and height.

    Source: W3C Portable Network Graphics specification, section 5.
    """
    position, size, pixels = len(_PNG_SIGNATURE), None, False
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        if zlib.crc32(body, zlib.crc32(kind)) != checksum:
            raise UnsupportedImage("The image is a damaged PNG.")
        if kind == b"IHDR":
            size = struct.unpack_from(">II", body)
        pixels = pixels or kind == b"IDAT"
        if kind == b"IEND":
            break
        position += 12 + length
    if size is None or not pixels:
        raise UnsupportedImage("The image is a PNG without a picture in it.")
    return size
