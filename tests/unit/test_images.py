"""The type, the size and the limits of photographs."""

import base64

import pytest

from chalicelib import images
from chalicelib.errors import ImageTooLarge, ImageTooSmall, UnsupportedImage
from tests.support.images import JPEG, PNG, PROGRESSIVE, encoded


@pytest.mark.parametrize(
    ("data", "media_type"),
    [(JPEG, "image/jpeg"), (PROGRESSIVE, "image/jpeg"), (PNG, "image/png")],
)
def test_the_type_follows_from_the_content(data: bytes, media_type: str) -> None:
    photograph = images.from_bytes(data)

    assert (photograph.media_type, photograph.width, photograph.height) == (media_type, 120, 90)


def test_a_thumbnail_inside_is_not_measured() -> None:
    thumbnail = encoded("JPEG", (80, 80))
    exif = b"Exif\0\0" + thumbnail
    data = JPEG[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + JPEG[2:]

    assert images.from_bytes(data).width == 120
    with pytest.raises(UnsupportedImage, match="cut off"):
        images.from_bytes(data[:-200])


def test_bytes_after_the_image_are_ignored() -> None:
    assert images.from_bytes(JPEG + b"trailer of a phone").width == 120


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, PNG], ids=["jpeg", "progressive", "png"])
def test_a_photograph_that_was_cut_off_anywhere_is_refused(data: bytes) -> None:
    for length in range(0, len(data), 7):
        with pytest.raises(UnsupportedImage):
            images.from_bytes(data[:length])
    with pytest.raises(UnsupportedImage):
        images.from_bytes(data[:-1])


def test_a_damaged_png_is_refused() -> None:
    middle = len(PNG) // 2
    data = PNG[:middle] + bytes([PNG[middle] ^ 1]) + PNG[middle + 1 :]

    with pytest.raises(UnsupportedImage, match="damaged"):
        images.from_bytes(data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (encoded("GIF"), "GIF"),
        (encoded("WEBP"), "WebP"),
        (encoded("BMP"), "BMP"),
        (encoded("TIFF"), "TIFF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"hello", "neither a JPEG nor a PNG"),
        (b"", "empty"),
    ],
)
def test_files_of_other_types_are_named(data: bytes, what: str) -> None:
    with pytest.raises(UnsupportedImage, match=what):
        images.from_bytes(data)


def test_a_photograph_needs_80_pixels_each_way() -> None:
    assert images.from_bytes(encoded("PNG", (80, 80))).height == 80
    with pytest.raises(ImageTooSmall, match="79x200"):
        images.from_bytes(encoded("PNG", (79, 200)))


def test_a_photograph_may_have_4_mebibytes() -> None:
    largest = JPEG + bytes(images.MAX_INLINE_BYTES - len(JPEG))

    assert images.from_base64(base64.b64encode(largest).decode()).data == largest
    with pytest.raises(ImageTooLarge, match="4 MiB"):
        images.from_base64(base64.b64encode(largest + b"\0").decode())
    with pytest.raises(ImageTooLarge, match=r"10\.0 MiB"):
        images.from_bytes(bytes(10 * 1024 * 1024))


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,", "data:;base64,"])
def test_base64_may_be_wrapped_and_a_data_url(prefix: str) -> None:
    text = prefix + base64.encodebytes(JPEG).decode()

    assert images.from_base64(text).data == JPEG


@pytest.mark.parametrize("text", ["%%%%", "abc", "data:image/png,plain", "é"])
def test_other_text_than_base64_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedImage):
        images.from_base64(text)
