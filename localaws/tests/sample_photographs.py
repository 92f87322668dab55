"""Real photographs for tests, and images made from them.

The portraits are those of the source distribution of ``face_recognition`` on PyPI: official
photographs of the White House, in the public domain. pip fetches them once into ``.cache``.
"""

import functools
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "photographs"
SOURCE = "face_recognition==1.3.0"

SHA256 = {
    "obama.jpg": "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6",
    "obama2.jpg": "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6",
    "obama3.jpg": "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3",
    "biden.jpg": "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c",
}

_ORIENTATION_TAG = 0x0112
# The transposition with which a picture is stored, so that viewers that obey the tag undo it.
_STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@functools.cache
def photograph(name: str) -> bytes:
    """Return a portrait as a JPEG: obama.jpg, obama2.jpg, obama3.jpg or biden.jpg."""
    path = CACHE / name
    if not _is_genuine(path):
        _fetch()
    if not _is_genuine(path):
        raise RuntimeError(f"{path} is not the expected file: its SHA-256 differs")
    return path.read_bytes()


def larger_set(name: str) -> Path:
    """Return the folder of a larger set of photographs, or skip the test if it is missing.

    The set has a folder for each person. The environment variable PHOTOS names the parent folder.
    """
    folder = Path(os.environ.get("PHOTOS", ROOT.parents[1] / "shared" / "photos")) / name
    if not folder.is_dir():
        pytest.skip(f"needs the photographs {name}: {folder} is not there (set PHOTOS)")
    return folder


def landscape(width: int = 640, height: int = 480) -> bytes:
    """Return a picture without a face: sky over a field, with some grain."""
    sky = np.linspace((120, 160, 230), (225, 235, 245), height * 3 // 5)
    field = np.linspace((90, 140, 60), (40, 80, 30), height - len(sky))
    rows = np.concatenate([sky, field])[:, np.newaxis, :]
    grain = np.random.default_rng(1).normal(0, 6, (height, width, 3))
    return as_jpeg(Image.fromarray(np.clip(rows + grain, 0, 255).astype(np.uint8)))


def group(*members: str | bytes, heights: Sequence[int] | None = None) -> bytes:
    """Return portraits side by side in one picture.

    Args:
        members: names or contents of files.
        heights: of the portraits in pixels; 900 each by default.
    """
    heights = heights or [900] * len(members)
    portraits = [
        picture.resize((picture.width * height // picture.height, height))
        for picture, height in zip(map(_portrait, members), heights, strict=True)
    ]
    joined = Image.new("RGB", (sum(p.width for p in portraits), max(heights)))
    left = 0
    for portrait in portraits:
        joined.paste(portrait, (left, 0))
        left += portrait.width
    return as_jpeg(joined)


def rotated(content: bytes, orientation: int) -> bytes:
    """Return a photograph as a turned camera stores it, with an EXIF orientation of 1 to 8."""
    picture = opened(content)
    if orientation in _STORED_AS:
        picture = picture.transpose(_STORED_AS[orientation])
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    return as_jpeg(picture, exif=exif)


def darkened(content: bytes, light: float = 0.08) -> bytes:
    """Return a photograph with a fraction of its light, 0 to 1."""
    return as_jpeg(ImageEnhance.Brightness(opened(content)).enhance(light))


def blurred(content: bytes, radius: float = 14) -> bytes:
    """Return a photograph out of focus, blurred by a radius in pixels."""
    return as_jpeg(opened(content).filter(ImageFilter.GaussianBlur(radius)))


def covered(content: bytes) -> bytes:
    """Return a portrait whose eyes are behind a dark bar."""
    picture = opened(content)
    bar = (0, picture.height // 10, picture.width, picture.height * 3 // 10)
    picture.paste((60, 50, 45), bar)
    return as_jpeg(picture)


def resized(content: bytes, long_side: int) -> bytes:
    """Return a photograph scaled to a length of its longer side in pixels."""
    picture = opened(content)
    scale = long_side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return as_jpeg(picture.resize(size, Image.Resampling.LANCZOS))


def opened(content: bytes) -> Image.Image:
    """Return the picture in a file."""
    return Image.open(io.BytesIO(content)).convert("RGB")


def as_jpeg(picture: Image.Image, **options: object) -> bytes:
    """Return a picture as a JPEG file."""
    return encoded(picture, "JPEG", **{"quality": 92, **options})


def encoded(picture: Image.Image, file_format: str, **options: object) -> bytes:
    """Return a picture as a file in one of Pillow's formats."""
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def _portrait(member: str | bytes) -> Image.Image:
    return opened(photograph(member) if isinstance(member, str) else member)


def _is_genuine(path: Path) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[path.name]


def _fetch() -> None:
    """Download the source distribution with pip, and keep its portraits."""
    CACHE.mkdir(parents=True, exist_ok=True)
    project = SOURCE.partition("==")[0]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        subprocess.run(
            [*pip, "--no-deps", "--no-binary", project, "--dest", folder, SOURCE], check=True
        )
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as files:
            for name in SHA256:
                member = files.extractfile(f"face_recognition-1.3.0/tests/test_images/{name}")
                assert member is not None
                unfinished = Path(folder) / name
                unfinished.write_bytes(member.read())
                # Another test process may be reading, so the file must appear whole.
                unfinished.replace(CACHE / name)
