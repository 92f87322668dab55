"""What counts as a photograph: taken out of its envelope, recognised by content, measured.

Only headers are read here. The pixels are Rekognition's business, and no image library has to
be loaded into Lambda for what a few bytes tell.
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
"""A photograph inside a request: Lambda takes 6 MB, less base64 and envelope."""
MAX_STORED_BYTES = 15 * 1024 * 1024
"""A photograph in S3: Rekognition reads no larger one."""
MIN_SIDE = 80
"""Pixels: Rekognition refuses an image that is smaller in either direction."""
MAX_PIXELS = 256 * 1024**2 // 3
"""Which make 256 MiB when decoded: more is taken for an attempt to exhaust whoever decodes it."""

JPEG = "image/jpeg"
PNG = "image/png"
EXTENSIONS = {JPEG: "jpg", PNG: "png"}

WHERE_TO_WITH_LARGE_ONES = (
    f"A photograph in a request may have {MAX_INLINE_BYTES // 1024**2} MiB. Make it smaller; or, to"
    " register it, leave it out of the request to get an address to which up to"
    f" {MAX_STORED_BYTES // 1024**2} MiB can be uploaded."
)

_DATA_URL = re.compile(r"\s{0,9}data:[^,]{0,200};base64,", re.IGNORECASE)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_JPEG_FILL = re.compile(rb"\xff+")
"""What a marker begins with."""
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
"""A marker inside entropy-coded data: there 0xFF is followed by zero or a restart marker only."""
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9

_MOST_SEGMENTS = 10_000
"""A file of 4 MiB has a few hundred segments or chunks; what has more is made to keep us busy."""

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
    encoded = text[prefix.end() :] if prefix else text
    try:
        try:
            data = decoded(encoded)
        except msgspec.ValidationError:  # it may be wrapped
            data = decoded("".join(encoded.split()))
    except msgspec.ValidationError:
        raise UnsupportedImage("The image is not valid base64.") from None
    return from_bytes(data)


def decoded(text: str) -> bytes:
    """Decode base64, strictly; msgspec does it in a quarter of binascii's time.

    Raises:
        msgspec.ValidationError: it is none.
    """
    return msgspec.convert(text, bytes)


def from_bytes(data: bytes, most: int = MAX_INLINE_BYTES) -> Photograph:
    """Recognise a photograph by its content.

    Raises:
        UnsupportedImage: it is no JPEG or PNG, or it is cut off or damaged.
        ImageTooLarge: it has more than ``most`` bytes, or than :data:`MAX_PIXELS`.
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
    if not width or not height:
        raise UnsupportedImage("The image is damaged: it does not say how large it is.")
    if width * height > MAX_PIXELS:
        raise ImageTooLarge(
            f"The image has {width}x{height} pixels; {MAX_PIXELS // 10**6} megapixels are read."
        )
    if min(width, height) < MIN_SIDE:
        raise ImageTooSmall(
            f"The image has {width}x{height} pixels; at least {MIN_SIDE}x{MIN_SIDE} are needed."
        )
    return Photograph(data, media_type, width, height)


def _too_large(size: int) -> ImageTooLarge:
    return ImageTooLarge(f"The image has {size / 1024**2:.1f} MiB. {WHERE_TO_WITH_LARGE_ONES}")


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
    for _ in range(_MOST_SEGMENTS):
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
                raise UnsupportedImage("The image is a JPEG that was cut off on its way.")
            position = found.start()
    raise UnsupportedImage("The image is a damaged JPEG.")


def _png_size(data: bytes) -> tuple[int, int]:
    """Walk the chunks of a PNG to its end; return width and height.

    Source: W3C Portable Network Graphics specification, section 5.
    """
    position, size, pixels = len(_PNG_SIGNATURE), None, False
    view = memoryview(data)  # so that nothing is copied
    for _ in range(_MOST_SEGMENTS):
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
                raise UnsupportedImage("The image is a PNG without a picture in it.")
            return size
        position += 12 + length
    raise UnsupportedImage("The image is a damaged PNG.")
