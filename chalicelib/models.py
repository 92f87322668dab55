"""Values that storage, domain and messages share: rules for ids and names, images, records.

This module imports nothing of the application. Types with a pattern are checked by msgspec
wherever a request or a file is read.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

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


Status = Literal["registered", "indexed", "rejected"]


def now() -> str:
    """Return the present moment as the records write it: ISO 8601, UTC, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def today() -> str:
    """Return the present day: UTC, ISO 8601."""
    return now()[:10]


class FaceRecord(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A face of the collection: its person and its photograph."""

    face_id: str
    person_id: str
    name: str
    image_key: str
    bounding_box: BoundingBox
    confidence: float
    quality: Quality
    indexed_at: str
    face_model_version: str
    verified_on: str | None = None
    """Day on which the person was last recognised, if the stage notes that."""


class PhotographRecord(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A photograph and the state of its indexing."""

    face_id: str
    """The table's hash key: ``image#`` and the photograph's key."""
    person_id: str | None = None
    name: str | None = None
    consent: str | None = None
    """Version of the text that the person agreed to."""
    caller: str | None = None
    """Who registered the photograph."""
    status: Status
    etag: str | None = None
    """ETag of the content that ``status`` is about."""
    face_ids: list[str] = []
    """Every face that may be in the collection because of this photograph."""
    reason: str | None = None
    """Code of the problem for which the photograph was rejected."""
    detail: str | None = None
    """Text of the same problem."""
    registered_at: str | None = None
    indexed_at: str | None = None
    attempts: int = 0
    """Number of attempts started. It shows whether the record has changed since it was read."""
    running: dict[str, float] = {}
    """Ids of the attempts that have not ended, with their start in seconds since the epoch.

    An attempt that was stopped stays here, so that a later one looks for the faces it left.
    """
    versions: dict[str, list[str]] = {}
    """For each of these attempts, the versions of the object that it may have indexed."""
    is_doubtful: bool = False
    """Whether a run has deleted a face that another one may have written into this record."""

    @staticmethod
    def id_of(key: str) -> str:
        """Return the hash key of a photograph's item."""
        return f"image#{key}"

    @property
    def image_key(self) -> str:
        """Key of the photograph in S3."""
        return self.face_id.removeprefix("image#")
