"""Values that storage, domain and messages share, and the rules for ids, names and consents.

This module imports nothing of the application. Types with a pattern are checked by msgspec
wherever a request or a file is read.
"""

import re
from typing import Annotated

from msgspec import Meta, Struct

PERSON_ID_PATTERN = r"^(?!\.{1,2}\Z)[A-Za-z0-9_.-]{1,64}\Z"
CONSENT_PATTERN = r"^[A-Za-z0-9_.-]{1,40}\Z"
MAX_NAME_LENGTH = 200

PersonId = Annotated[
    str,
    Meta(
        pattern=PERSON_ID_PATTERN,
        description="Id of a person: letters, digits, `_`, `.` and `-`, but not only dots.",
    ),
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        description="Name of the person, in any script: visible characters and spaces.",
    ),
]
Consent = Annotated[
    str,
    Meta(
        pattern=CONSENT_PATTERN,
        description="Version of the text that the person agreed to.",
    ),
]
Percentage = Annotated[float, Meta(ge=0, le=100)]

_PERSON_ID = re.compile(PERSON_ID_PATTERN)
_CONSENT = re.compile(CONSENT_PATTERN)
_JOINERS = {0x200C: None, 0x200D: None}
"""Zero-width characters that belong to names written in Persian, Sinhala or Hindi, for example."""


def is_person_id(text: str) -> bool:
    """Return whether a text is a valid person id."""
    return _PERSON_ID.match(text) is not None


def is_consent(text: str) -> bool:
    """Return whether a text is a valid version of a consent."""
    return _CONSENT.match(text) is not None


def is_visible(name: str) -> bool:
    """Return whether a name consists of visible characters and spaces only, and is not blank."""
    visible = name.translate(_JOINERS)
    return bool(visible.strip()) and visible.isprintable()


class BoundingBox(Struct, frozen=True, rename="camel"):
    """Position of a face, as fractions of the image's width and height."""

    left: float
    top: float
    width: float
    height: float


class Quality(Struct, frozen=True, rename="camel"):
    """Brightness and sharpness of a face, 0 to 100."""

    brightness: float
    sharpness: float


class Pose(Struct, frozen=True, rename="camel"):
    """Rotation of a face, in degrees."""

    roll: float
    yaw: float
    pitch: float


class Face(Struct, frozen=True, rename="camel"):
    """A face found in a photograph."""

    bounding_box: BoundingBox
    confidence: float
    quality: Quality
    pose: Pose


class SearchedFace(Struct, frozen=True, rename="camel"):
    """The face that was searched for: the largest one in the photograph."""

    bounding_box: BoundingBox
    confidence: float


class Person(Struct, frozen=True, rename="camel"):
    """A person who is registered."""

    person_id: str
    name: str


class Upload(Struct, frozen=True, rename="camel"):
    """A presigned POST: the address and the form fields with which a photograph can be uploaded."""

    url: str
    fields: dict[str, str]
    expires_in: int


class StoredPhotograph(Struct, frozen=True):
    """An object in S3, without its content."""

    key: str
    etag: str
    """For a placeholder, the ETag of the photograph that it stands for."""
    size: int
    name: str | None
    """Name of the person, if the upload gave one."""
    consent: str | None
    """Version of the text that the person agreed to, if the upload gave one."""
    caller: str | None
    """Who registered the photograph, if it came through the API or the command line."""
    version_id: str | None
    """None in a bucket without versions."""
    is_kept: bool = True
    """False for a placeholder."""
