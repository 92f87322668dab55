"""Reading photographs, and refusing all other files."""

import struct
import zlib

import numpy as np
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from localaws.rekognition.images import MAX_S3_OBJECT_BYTES, decode
from sample_photographs import as_jpeg, encoded, landscape, opened, photograph, resized, rotated


def detect(rekognition, content):
    return rekognition.detect_faces(Image={"Bytes": content})["FaceDetails"]


def portrait():
    return opened(resized(photograph("obama.jpg"), 600))


def sixteen_bit_grey():
    grey = np.asarray(portrait().convert("L")).astype(np.uint16) * 257
    return encoded(Image.fromarray(grey), "PNG")


def transparent():
    picture = portrait()
    picture.putalpha(Image.new("L", picture.size, 255))
    return encoded(picture, "PNG")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda: encoded(portrait(), "PNG"), id="png"),
        pytest.param(lambda: as_jpeg(portrait(), progressive=True), id="progressive jpeg"),
        pytest.param(lambda: as_jpeg(portrait().convert("CMYK")), id="cmyk jpeg"),
        pytest.param(lambda: as_jpeg(portrait().convert("L")), id="grey jpeg"),
        pytest.param(lambda: encoded(portrait().convert("L"), "PNG"), id="grey png"),
        pytest.param(lambda: encoded(portrait().convert("LA"), "PNG"), id="grey alpha png"),
        pytest.param(lambda: encoded(portrait().quantize(), "PNG"), id="palette png"),
        pytest.param(sixteen_bit_grey, id="16-bit grey png"),
        pytest.param(transparent, id="alpha png"),
    ],
)
def test_any_jpeg_or_png_is_read(rekognition, content):
    (face,) = detect(rekognition, content())
    (reference,) = detect(rekognition, as_jpeg(portrait()))

    assert face["BoundingBox"] == pytest.approx(reference["BoundingBox"], abs=0.02)
    assert face["Quality"]["Brightness"] == pytest.approx(reference["Quality"]["Brightness"], abs=3)


def test_what_is_transparent_is_white():
    clear = Image.new("RGBA", (100, 100), (0, 0, 0, 0))

    assert decode(encoded(clear, "PNG")).pixels(1).min() == 255


def test_pixels_are_red_green_blue():
    red = encoded(Image.new("RGB", (100, 100), "red"), "PNG")

    assert decode(red).pixels(1)[50, 50].tolist() == [255, 0, 0]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_large_photograph_is_decoded_as_finely_as_asked_for(file_format):
    image = decode(encoded(opened(resized(photograph("obama.jpg"), 2000)), file_format))

    assert (image.width, image.height) == (1601, 2000)
    assert image.pixels(0.25).shape[0] in (500, 1000)
    assert image.pixels(1).shape == (2000, 1601, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_upright_at_every_scale(orientation):
    upright = decode(photograph("obama.jpg"))
    image = decode(rotated(resized(photograph("obama.jpg"), 2000), orientation))

    assert (image.width, image.height) == (1601, 2000)
    for scale in (0.25, 1):
        pixels = Image.fromarray(image.pixels(scale)).resize((upright.width, upright.height))
        assert np.abs(np.asarray(pixels, float) - upright.pixels(1)).mean() < 5


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_malformed_exif_block_is_no_reason_to_refuse(rekognition):
    content = as_jpeg(portrait(), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")

    assert len(detect(rekognition, content)) == 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda: b"not a photograph", id="text"),
        pytest.param(lambda: encoded(portrait(), "GIF"), id="gif"),
        pytest.param(lambda: encoded(portrait(), "WEBP"), id="webp"),
        pytest.param(lambda: encoded(portrait(), "BMP"), id="bmp"),
        pytest.param(lambda: photograph("obama.jpg")[:40_000], id="truncated jpeg"),
        pytest.param(lambda: photograph("obama.jpg")[:100], id="jpeg header only"),
        pytest.param(lambda: encoded(portrait(), "PNG")[:-5000], id="truncated png"),
        pytest.param(lambda: _overwritten(encoded(portrait(), "PNG")), id="corrupt png"),
    ],
)
def test_all_else_is_refused(rekognition, content):
    with pytest.raises(rekognition.exceptions.InvalidImageFormatException) as refused:
        detect(rekognition, content())

    assert "Request has invalid image format" in str(refused.value)


@pytest.mark.parametrize("size", [(79, 200), (200, 79)])
def test_an_image_must_have_80_pixels_each_way(rekognition, size):
    with pytest.raises(rekognition.exceptions.InvalidParameterException):
        detect(rekognition, landscape(*size))


def test_80_pixels_are_enough(rekognition):
    assert detect(rekognition, landscape(80, 80)) == []


def test_bytes_are_limited_to_5_mb_as_on_aws(rekognition):
    content = photograph("obama.jpg").ljust(5 * 1024 * 1024 + 1, b"\0")

    assert len(detect(rekognition, content[:-1])) == 1
    with pytest.raises(ClientError) as refused:
        detect(rekognition, content)
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert error["Message"].endswith(
        "at 'image.bytes' failed to satisfy constraint: "
        "Member must have length less than or equal to 5242880"
    )


def test_an_s3_object_is_limited_to_15_mb(rekognition, stored):
    image = {"S3Object": {"Bucket": "photographs", "Name": "large.jpg"}}
    stored["photographs", "large.jpg", None] = photograph("obama.jpg").ljust(MAX_S3_OBJECT_BYTES)

    assert len(rekognition.detect_faces(Image=image)["FaceDetails"]) == 1
    stored["photographs", "large.jpg", None] += b" "
    with pytest.raises(rekognition.exceptions.ImageTooLargeException):
        rekognition.detect_faces(Image=image)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 30_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_by_its_header(rekognition, side):
    with pytest.raises(rekognition.exceptions.ImageTooLargeException):
        detect(rekognition, _png_that_claims(side))


def _png_that_claims(side):
    """Return a PNG whose header promises a square, with almost no content."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _overwritten(content):
    middle = len(content) // 2
    return content[:middle] + bytes(2000) + content[middle + 2000 :]
