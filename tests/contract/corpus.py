"""Broken and odd images, made by code, each with the responses that are right for it."""

import functools
import io
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from sample_photographs import as_jpeg, encoded, opened, photograph, resized, rotated

Answers = frozenset[tuple[int, str]]

RECOGNISED: Answers = frozenset({(200, "")})
UNSUPPORTED: Answers = frozenset({(415, "unsupported_image")})
TOO_LARGE: Answers = frozenset({(413, "image_too_large")})
TOO_SMALL: Answers = frozenset({(422, "image_too_small")})
NO_FACE: Answers = frozenset({(422, "no_face")})
UNUSABLE = UNSUPPORTED | TOO_SMALL | NO_FACE
ANYTHING = UNUSABLE | RECOGNISED | TOO_LARGE
"""The response to an image that was damaged at random depends on the place of the damage."""


class Odd(NamedTuple):
    """A file, and the responses that are right for it."""

    name: str
    data: bytes
    answers: Answers
    words: str = ""
    """Words that the detail contains."""


@functools.cache
def odd_images() -> tuple[Odd, ...]:
    """Return the whole corpus."""
    return (*_cut_off(), *_damaged(), *_bombs(), *_sizes(), *_modes(), *_wrapped(), *_others())


def _portrait() -> bytes:
    return resized(photograph("obama.jpg"), 320)


def _files() -> dict[str, bytes]:
    picture = opened(_portrait())
    return {
        "baseline": _portrait(),
        "progressive": as_jpeg(picture, progressive=True),
        "png": encoded(picture.resize((160, 200)), "PNG"),
    }


def _cut_off() -> Iterator[Odd]:
    """Each kind of file, cut off at 40 places from its first byte to its last."""
    for kind, data in _files().items():
        for part in range(40):
            length = 1 + part * (len(data) - 2) // 39
            yield Odd(f"{kind} of {length} bytes", data[:length], UNSUPPORTED)


def _damaged() -> Iterator[Odd]:
    """Each kind of file with a wrong bit (14 places), with zeros (5) and with a gap (5)."""
    for kind, data in _files().items():
        # A PNG has checksums. A JPEG has none, and decoders read as much of it as they can.
        answers = UNSUPPORTED if kind == "png" else ANYTHING
        for part in range(14):
            at = part * (len(data) - 1) // 14
            wrong = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
            yield Odd(f"{kind} with a wrong bit at {at}", wrong, answers)
        for part in range(5):
            at = part * len(data) // 5
            zeros = data[:at] + bytes(100) + data[at + 100 :]
            yield Odd(f"{kind} with zeros from {at}", zeros, answers)
            yield Odd(f"{kind} without 100 from {at}", data[:at] + data[at + 100 :], answers)


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """Return a PNG of the given chunks, valid or not."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def pixels(size: int) -> bytes:
    """Return an IDAT chunk that unpacks to ``size`` zeros."""
    pack = zlib.compressobj(9)
    parts = [pack.compress(bytes(1024 * 1024)) for _ in range(size // 1024**2)]
    return chunk(b"IDAT", b"".join([*parts, pack.compress(bytes(size % 1024**2)), pack.flush()]))


def _bombs() -> Iterator[Odd]:
    """Small files that would unpack to very many bytes, or keep a parser busy."""
    bomb = zlib.compress(bytes(100 * 1024**2), 9)
    small = pixels(100 * (1 + 300))
    yield Odd("bomb in IDAT", png(100, 100, pixels(100 * 1024**2)), UNUSABLE)
    yield Odd("bomb in zTXt", png(100, 100, chunk(b"zTXt", b"a\0\0" + bomb), small), UNUSABLE)
    yield Odd("bomb in iTXt", png(100, 100, chunk(b"iTXt", b"a\0\1\0\0\0" + bomb), small), UNUSABLE)
    yield Odd("bomb in iCCP", png(100, 100, chunk(b"iCCP", b"a\0\0" + bomb), small), UNUSABLE)
    yield Odd("30000x30000", png(30000, 30000, pixels(1024**2)), TOO_LARGE, "30000x30000")
    yield Odd("the largest PNG", png(2**31 - 1, 2**31 - 1, pixels(0)), TOO_LARGE)
    yield Odd("65535x65535 JPEG", _jpeg_that_says(65535, 65535), TOO_LARGE, "65535x65535")
    yield Odd("many chunks", png(100, 100, *[chunk(b"tEXt", b"")] * 300_000), UNSUPPORTED)
    yield Odd("many segments", b"\xff\xd8" + b"\xff\xe1\x00\x02" * 1_000_000, UNSUPPORTED)
    yield Odd("many fill bytes", b"\xff\xd8" + b"\xff" * 4_000_000, UNSUPPORTED)
    yield Odd("many restarts", b"\xff\xd8\xff\xda\0\2" + b"\xff\xd0" * 2_000_000, UNSUPPORTED)
    yield Odd("segment of no length", b"\xff\xd8\xff\xe0\0\0" * 1000, UNSUPPORTED)


def _jpeg_that_says(width: int, height: int) -> bytes:
    """Return a JPEG whose header claims another size."""
    data = as_jpeg(Image.new("RGB", (100, 100)))
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def _sizes() -> Iterator[Odd]:
    for width, height in ((1, 1), (79, 500), (500, 79), (2, 5000)):
        for kind in ("JPEG", "PNG"):
            data = encoded(Image.new("RGB", (width, height)), kind)
            yield Odd(f"{kind} of {width}x{height}", data, TOO_SMALL, f"{width}x{height}")
    for kind in ("JPEG", "PNG"):
        data = encoded(Image.new("RGB", (80, 80)), kind)
        yield Odd(f"{kind} of 80x80", data, NO_FACE)
        yield Odd(f"long {kind}", encoded(Image.new("RGB", (80, 20000)), kind), NO_FACE)
    yield Odd("JPEG of no size", _jpeg_that_says(0, 0), UNSUPPORTED)
    yield Odd("PNG of no size", png(0, 0, pixels(0)), UNSUPPORTED)
    yield Odd("JPEG that says more than it has", _jpeg_that_says(1000, 1000), ANYTHING)
    yield Odd("PNG that says more than it has", png(1000, 1000, pixels(100)), UNSUPPORTED)
    yield Odd("over 4 MiB", _portrait() + bytes(4 * 1024**2), TOO_LARGE, "4 MiB")
    yield Odd("just 4 MiB", _portrait().ljust(4 * 1024**2, b"\0"), RECOGNISED)


def _modes() -> Iterator[Odd]:
    """The same person in every mode and orientation of JPEG and PNG."""
    picture = opened(_portrait())
    for mode in ("L", "RGB", "CMYK"):
        yield Odd(f"JPEG in {mode}", as_jpeg(picture.convert(mode)), RECOGNISED)
    for mode in ("L", "LA", "P", "RGB", "RGBA", "I;16"):
        shown = picture.convert("L") if mode == "I;16" else picture.convert(mode)
        if mode == "I;16":
            shown = Image.fromarray(np.asarray(shown).astype(np.uint16) * 257)
        yield Odd(f"PNG in {mode}", encoded(shown, "PNG"), RECOGNISED)
    black_and_white = encoded(picture.convert("1"), "PNG")
    yield Odd("PNG of one bit", black_and_white, RECOGNISED | UNUSABLE)
    for orientation in range(1, 9):
        yield Odd(f"turned {orientation}", rotated(_portrait(), orientation), RECOGNISED)
    for orientation in (0, 9, 65535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield Odd(f"turned {orientation}", as_jpeg(picture, exif=exif), RECOGNISED)
    for sampling in (0, 1, 2):
        yield Odd(f"subsampled {sampling}", as_jpeg(picture, subsampling=sampling), RECOGNISED)
    yield Odd("broken EXIF", as_jpeg(picture, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), RECOGNISED)
    yield Odd("arithmetic coding", _portrait().replace(b"\xff\xc0", b"\xff\xc9"), UNUSABLE)
    yield Odd("lossless", _portrait().replace(b"\xff\xc0", b"\xff\xc3"), UNUSABLE)
    yield Odd("12 bit", _portrait().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), UNUSABLE)
    frames = [picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    animated = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield Odd("animated PNG", animated, RECOGNISED)


def _wrapped() -> Iterator[Odd]:
    """A photograph with other bytes before it, after it or inside."""
    data, small = _portrait(), _files()["png"]
    archive = b"PK\x05\x06" + bytes(18)
    for name, after in {
        "zeros": bytes(9),
        "ZIP": archive,
        "HTML": b"<script>",
        "JPEG": data,
    }.items():
        yield Odd(f"JPEG and {name}", data + after, RECOGNISED)
        yield Odd(f"PNG and {name}", encoded(opened(data), "PNG") + after, RECOGNISED)
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 26) + b"<script>alert(1)</script>*"
    yield Odd("HTML in a comment", data[:2] + comment + data[2:], RECOGNISED)
    for name, before in {"space": b" ", "line": b"\r\n", "mark": b"\xef\xbb\xbf"}.items():
        yield Odd(f"JPEG after {name}", before + data, UNSUPPORTED)
        yield Odd(f"PNG after {name}", before + small, UNSUPPORTED)
    yield Odd("GIF and JPEG", b"GIF89a" + data, UNSUPPORTED, "GIF")
    yield Odd("PDF and JPEG", b"%PDF-1.7\n" + data, UNSUPPORTED, "PDF")
    yield Odd("PNG for a Mac", small[:8] + chunk(b"CgBI", b"\x50\0\x20\x02") + small[8:], ANYTHING)
    yield Odd("two headers", small[:33] + small[8:33] + small[33:], ANYTHING)
    yield Odd("no header", small[:8] + small[33:], UNSUPPORTED)
    yield Odd("no pixels", png(100, 100), UNSUPPORTED)
    yield Odd("pixels that are none", png(100, 100, chunk(b"IDAT", b"nonsense")), UNSUPPORTED)
    yield Odd("unknown colours", png(100, 100, pixels(30100), colour=7), UNSUPPORTED)
    yield Odd("wrong checksum", small[:29] + b"\0\0\0\0" + small[33:], UNSUPPORTED, "damaged")
    yield Odd("JPEG of tables only", b"\xff\xd8\xff\xdb\0\x03\0\xff\xd9", UNSUPPORTED)


def _others() -> Iterator[Odd]:
    """Files that a client may send as a photograph, because of their name or type."""
    picture = Image.new("RGB", (100, 100))
    for kind in ("GIF", "WEBP", "BMP", "TIFF", "ICO", "JPEG2000", "AVIF", "PDF"):
        name = {"ICO": "icon", "JPEG2000": "JPEG 2000", "WEBP": "WebP"}.get(kind, kind)
        yield Odd(f"{kind} file", encoded(picture, kind), UNSUPPORTED, name)
    animated = encoded(
        picture, "GIF", save_all=True, append_images=[Image.new("RGB", (100, 100), 1)]
    )
    yield Odd("animated GIF", animated, UNSUPPORTED, "GIF")
    for brand in (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"):
        yield Odd(f"HEIC {brand!r}", b"\0\0\0\x18ftyp" + brand + bytes(99), UNSUPPORTED, "HEIC")
    for name, data, words in (
        ("SVG", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("SVG document", b'<?xml version="1.0"?>\n<!-- x -->\n<svg/>', "SVG"),
        ("HTML", b"<!DOCTYPE html><html></html>", "HTML"),
        ("video", b"\0\0\0\x18ftypqt  " + bytes(99), "video"),
        ("JPEG XL", b"\xff\x0a" + bytes(99), "JPEG XL"),
        ("Photoshop", b"8BPS" + bytes(99), "Photoshop"),
        ("ZIP", b"PK\x03\x04" + bytes(99), "ZIP"),
        ("gzip", b"\x1f\x8b\x08" + bytes(99), "gzip"),
        ("text", b"Cheese!", "neither a JPEG nor a PNG"),
        ("zeros", bytes(1000), "neither a JPEG nor a PNG"),
        ("only a JPEG's beginning", b"\xff\xd8\xff", ""),
        ("only a PNG's beginning", b"\x89PNG\r\n\x1a\n", ""),
    ):
        yield Odd(name, data, UNSUPPORTED, words)
    yield Odd("noise", io.BytesIO(np.random.default_rng(1).bytes(9999)).read(), UNSUPPORTED)
