"""Photographs: decode them, tell their type from their content, and measure them.

This module reads headers only. Rekognition reads the pixels, so Lambda loads no image library.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from functools import cached_property

import msgspec

from chalicelib.errors import ImageTooLarge, ImageTooSmall, UnsupportedImage

MAX_INLINE_BYTES = 4 * 1024 * 1024
"""Limit of a photograph in a request: Lambda's 6 MB, less base64 and the other fields."""
MAX_STORED_BYTES = 15 * 1024 * 1024
"""Limit of a photograph in S3: Rekognition reads none that is larger."""
MIN_SIDE = 80
"""Shortest side, in pixels: Rekognition refuses smaller images."""
MAX_PIXELS = 256 * 1024**2 // 3
"""Limit that makes 256 MiB of decoded pixels. A larger image is an attempt to exhaust memory."""

JPEG = "image/jpeg"
PNG = "image/png"
EXTENSIONS = {JPEG: "jpg", PNG: "png"}

WHERE_TO_WITH_LARGE_ONES = (
    f"A photograph in a request may have {MAX_INLINE_BYTES // 1024**2} MiB. Make it smaller. To"
    " register a larger one, send the request without it: the response has an address for uploads"
    f" of up to {MAX_STORED_BYTES // 1024**2} MiB."
)

_DATA_URL = re.compile(r"\s{0,9}data:[^,]{0,200};base64,", re.IGNORECASE)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_JPEG_FILL = re.compile(rb"\xff+")
"""Start of a marker."""
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
"""A marker that ends entropy-coded data. Inside the data, zero or a restart marker follows 0xFF."""
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9

_MAX_SEGMENTS = 10_000
"""A file of 4 MiB has a few hundred segments or chunks. One with many more is an attack."""

_OTHERS = (
    (re.compile(rb"GIF8[79]a"), "a GIF"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "a WebP"),
    (re.compile(rb"....ftypavi", re.DOTALL), "an AVIF"),
    (re.compile(rb"....ftyp(?:he[iv]|mif1|msf1)", re.DOTALL), "a HEIC"),
    (re.compile(rb"....ftyp", re.DOTALL), "a video"),
    (re.compile(rb"\x00\x00\x00\x0cJXL |\xff\x0a"), "a JPEG XL"),
    (re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51"), "a JPEG 2000"),
    (re.compile(rb"BM"), "a BMP"),
    (re.compile(rb"II\*\x00|MM\x00\*"), "a TIFF"),
    (re.compile(rb"\x00\x00[\x01\x02]\x00"), "an icon"),
    (re.compile(rb"8BPS"), "a Photoshop"),
    (re.compile(rb"%PDF"), "a PDF"),
    (re.compile(rb"PK\x03\x04"), "a ZIP"),
    (re.compile(rb"\x1f\x8b"), "a gzip"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s{0,99}<(?:svg|(?:[?!].{0,999}<svg))", re.I | re.S), "an SVG"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s{0,99}<(?:html|!doctype html)", re.IGNORECASE), "an HTML"),
)


class Photograph:
    """A complete JPEG or PNG. Width and height are in pixels, before the EXIF rotation."""

    # This is no dataclass, because msgspec would decode one field by field.
    def __init__(self, data: bytes, media_type: str, width: int, height: int) -> None:
        self.data = data
        self.media_type = media_type
        self.width = width
        self.height = height

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


def from_base64(text: str) -> Photograph:
    """Return the photograph of a base64 text or a ``data:`` URL.

    Raises:
        UnsupportedImage, ImageTooLarge, ImageTooSmall: as :func:`from_bytes`.
    """
    prefix = _DATA_URL.match(text)
    encoded = text[prefix.end() :] if prefix else text
    try:
        try:
            data = decoded(encoded)
        except msgspec.ValidationError:  # the text may be wrapped
            data = decoded("".join(encoded.split()))
    except msgspec.ValidationError:
        raise UnsupportedImage("The image is not valid base64.") from None
    return from_bytes(data)


def decoded(text: str) -> bytes:
    """Decode base64 strictly; msgspec needs a quarter of binascii's time.

    Raises:
        msgspec.ValidationError: the text is not base64.
    """
    return msgspec.convert(text, bytes)


def from_bytes(data: bytes, max_bytes: int = MAX_INLINE_BYTES) -> Photograph:
    """Return the photograph that a file holds.

    Raises:
        UnsupportedImage: the file is not a JPEG or a PNG, or it is cut off or damaged.
        ImageTooLarge: the file has more than ``max_bytes``, or more than :data:`MAX_PIXELS`.
        ImageTooSmall: a side has fewer than :data:`MIN_SIDE` pixels.
    """
    if len(data) > max_bytes:
        raise _too_large(len(data))
    try:
        if data.startswith(_JPEG_SIGNATURE):
            media_type, (width, height) = JPEG, _jpeg_size(data)
        elif data.startswith(_PNG_SIGNATURE):
            media_type, (width, height) = PNG, _png_size(data)
        else:
            raise UnsupportedImage(_not_supported(data))
    except (struct.error, IndexError):
        raise UnsupportedImage("The image is damaged or was cut off.") from None
    if not width or not height:
        raise UnsupportedImage("The image is damaged: its size is missing.")
    if width * height > MAX_PIXELS:
        raise ImageTooLarge(
            f"The image has {width}x{height} pixels. The limit is {MAX_PIXELS // 10**6} megapixels."
        )
    if min(width, height) < MIN_SIDE:
        raise ImageTooSmall(
            f"The image has {width}x{height} pixels. It needs at least {MIN_SIDE}x{MIN_SIDE}."
        )
    return Photograph(data, media_type, width, height)


def _too_large(size: int) -> ImageTooLarge:
    return ImageTooLarge(f"The image has {size / 1024**2:.1f} MiB. {WHERE_TO_WITH_LARGE_ONES}")


def _not_supported(data: bytes) -> str:
    """Return why a file that is neither a JPEG nor a PNG is refused."""
    if not data:
        return "The image is empty."
    for pattern, name in _OTHERS:
        if pattern.match(data):
            return f"The image is {name} file. Send a JPEG or a PNG."
    return "The image is neither a JPEG nor a PNG."


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG's frame, after reading all segments to the end.

    Source: ITU-T T.81, annex B.
    """
    size = None
    for marker, start in _jpeg_segments(data):
        if marker in _JPEG_FRAMES and size is None:
            height, width = struct.unpack_from(">HH", data, start + 3)
            size = width, height
    if size is None:
        raise UnsupportedImage("The image is a JPEG without a picture.")
    return size


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker of each segment and the offset of its length field, up to the end marker."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        fill = _JPEG_FILL.match(data, position)
        if fill is None:
            raise UnsupportedImage("The image is a damaged JPEG.")
        position = fill.end()
        marker = data[position]
        position += 1
        if marker == _JPEG_END:
            return
        yield marker, position
        position += struct.unpack_from(">H", data, position)[0]
        if marker == _JPEG_SCAN:
            found = _JPEG_MARKER.search(data, position)
            if found is None:
                raise UnsupportedImage("The image is a JPEG that was cut off.")
            position = found.start()
    raise UnsupportedImage("The image is a damaged JPEG.")


def _png_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG, after reading all chunks to the end.

    Source: W3C Portable Network Graphics specification, section 5.
    """
    position, size, pixels = len(_PNG_SIGNATURE), None, False
    view = memoryview(data)  # slices of it are not copied
    for _ in range(_MAX_SEGMENTS):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = view[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        if zlib.crc32(body, zlib.crc32(kind)) != checksum:
            raise UnsupportedImage("The image is a damaged PNG.")
        if kind == b"IHDR":
            size = struct.unpack_from(">II", body)
        pixels = pixels or kind == b"IDAT"
        if kind == b"IEND":
            if size is None or not pixels:
                raise UnsupportedImage("The image is a PNG without a picture.")
            return size
        position += 12 + length
    raise UnsupportedImage("The image is a damaged PNG.")
