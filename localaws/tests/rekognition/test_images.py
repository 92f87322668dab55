"""Decoding photographs: formats, orientation, transparency and limits."""

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from localaws.rekognition import images
from localaws.rekognition.exceptions import ThrottlingException
from localaws.rekognition.images import MAX_S3_OBJECT_BYTES, decode, in_turn
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


def test_transparent_parts_are_white():
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


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "RGB", "RGBA"])
def test_a_picture_is_the_same_in_strips(mode, monkeypatch):
    noise = np.random.default_rng(1).integers(0, 256, (1997, 1001, 4), np.uint8)
    coloured = Image.fromarray(noise)
    if mode == "I;16":
        content = encoded(Image.fromarray(noise[:, :, 0].astype(np.uint16) << 8), "PNG")
    else:
        content = encoded(coloured if mode == "RGBA" else coloured.convert(mode), "PNG")
    whole = [decode(content).pixels(scale) for scale in (1, 0.3)]
    monkeypatch.setattr(images, "_STRIP_PIXELS", 70_000)

    for scale, expected in zip((1, 0.3), whole, strict=True):
        assert (decode(content).pixels(scale) == expected).all()


LARGE = (9400, 9400)  # as many pixels as are read at all
MEASURE = """
import resource, sys
from localaws.rekognition.images import in_turn
content = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with in_turn(content) as image:
    image.pixels(float(sys.argv[1]))
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
left = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // 1024
print(most - before, left - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("mode", "scale", "most"),
    # Pillow holds 4 bytes for each pixel of these, and 1 for each of a palette's. The result has 3.
    [("RGBA", 0.1, 4), ("RGBA", 1, 7), ("P", 1, 4)],
)
def test_a_large_picture_needs_no_second_copy(mode, scale, most):
    content = encoded(Image.new(mode, LARGE), "PNG")
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(scale)], input=content, capture_output=True, check=True
    )
    peak, left = (int(kilobytes) * 1024 for kilobytes in measured.stdout.split())

    # Besides, there is one strip with its copies, and zlib's and Pillow's own memory.
    strip = 4 * 4 * images._STRIP_PIXELS
    assert peak < most * LARGE[0] * LARGE[1] + strip
    assert left < strip


def test_ordinary_photographs_are_worked_on_side_by_side():
    content = resized(photograph("obama.jpg"), 2000)
    with in_turn(content), in_turn(content), in_turn(content):
        pass


def test_whoever_waits_too_long_is_throttled(monkeypatch):
    monkeypatch.setattr(images, "MOST_SECONDS", 0.01)
    content = encoded(Image.new("L", LARGE), "PNG")

    with in_turn(content), pytest.raises(ThrottlingException), in_turn(content):
        pass
    with in_turn(content) as image:
        assert image.width == LARGE[0]


def test_a_jpeg_with_thousands_of_scans_is_refused(rekognition):
    content = encoded(Image.new("L", (4000, 4000), 128), "JPEG", progressive=True)
    begin, end = content.rindex(b"\xff\xda"), len(content) - 2
    head, scan, tail = content[:begin], content[begin:end], content[end:]
    # Neither a thumbnail with an end of its own nor a video after the image changes the number.
    thumbnail = b"\xff\xe1\x00\x06\xff\xd9\xff\xda"
    head = head[:2] + thumbnail + head[2:]

    assert decode(head + 100 * scan + tail + 1000 * scan).width == 4000
    with pytest.raises(rekognition.exceptions.InvalidImageFormatException):
        detect(rekognition, head + 1000 * scan + tail)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_malformed_exif_block_is_accepted(rekognition):
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
def test_any_other_file_is_refused(rekognition, content):
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
    """Return a PNG whose header claims a square of this side, but with almost no data."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _overwritten(content):
    middle = len(content) // 2
    return content[:middle] + bytes(2000) + content[middle + 2000 :]
