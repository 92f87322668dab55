"""The types of requests and responses: the contract with the callers of the HTTP API.

JSON members are written in camelCase. A request with a member that its type does not declare is
refused. The errors raised here are worded like those of msgspec, which end with the field:
:mod:`chalicelib.http` reads the field from there.
"""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from chalicelib.errors import FieldError
from chalicelib.images import Photograph
from chalicelib.models import (
    Consent,
    Face,
    Name,
    Percentage,
    Person,
    PersonId,
    SearchedFace,
    Upload,
    is_visible,
)

MAX_KEY_BYTES = 1024
"""Limit of S3."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

ImageKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_KEY_BYTES,
        description="Key of the photograph in the bucket: `faces/<personId>/<file>`.",
    ),
]
ContentType = Annotated[
    Literal["image/jpeg", "image/png"],
    Meta(description="Type of the photograph to upload, if the request carries none."),
]
NextToken = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        description="`nextToken` of an earlier response, to continue where it stopped.",
    ),
]


# --- requests -------------------------------------------------------------------------------


class RegisterRequest(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Register a photograph of a person; without a photograph, ask for an address to upload one."""

    name: Name
    person_id: PersonId | None = None
    consent: Consent | None = None
    """Version of the text that the person agreed to."""
    image: Photograph | None = None
    content_type: ContentType | None = None

    def __post_init__(self) -> None:
        """Strip the name, and refuse what the types alone cannot express."""
        self.name = self.name.strip()
        if not is_visible(self.name):
            raise ValueError("Expected visible characters - at `$.name`")
        if self.content_type is not None and self.image is not None:
            raise ValueError("Expected only without an image - at `$.contentType`")


class CreateIndexRequest(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Bring the index in line with the photographs: all of them, one person's, or a single one."""

    image_key: ImageKey | None = None
    person_id: PersonId | None = None
    next_token: NextToken | None = None
    repair: Annotated[
        bool, Meta(description="Whether to check every face and every record as well.")
    ] = False

    def __post_init__(self) -> None:
        """Refuse two selections at once, and keys that S3 cannot hold."""
        if self.image_key is not None:
            if len(self.image_key.encode()) > MAX_KEY_BYTES:
                raise ValueError(f"Expected at most {MAX_KEY_BYTES} bytes - at `$.imageKey`")
            if _CONTROL.search(self.image_key):
                raise ValueError("Expected no control characters - at `$.imageKey`")
        if self.image_key is not None and self.person_id is not None:
            raise ValueError("Expected imageKey or personId, not both - at `$.personId`")


class VerifyRequest(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Ask whose face a photograph shows; with ``personId``, whether it is this person's face."""

    image: Photograph | None = None
    person_id: PersonId | None = None
    threshold: (
        Annotated[Percentage, Meta(description="Lowest similarity that counts as a match.")] | None
    ) = None
    max_matches: Annotated[
        int, Meta(ge=1, le=100, description="Most persons to return, the most similar first.")
    ] = 10


# --- responses ------------------------------------------------------------------------------


class Registered(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A registration: with ``face``, or with ``upload`` if the photograph is still to come."""

    person_id: str
    name: str
    image_key: str
    status: Literal["registered"]
    face: Face | None = None
    upload: Upload | None = None


class IndexedPhotograph(Struct, frozen=True, rename="camel"):
    """A photograph that this call indexed."""

    image_key: str
    person_id: str
    face_id: str


class FailedPhotograph(Struct, frozen=True, rename="camel"):
    """A photograph without a face in the index, and the reason."""

    image_key: str
    code: str
    detail: str


class Repaired(Struct, rename="camel"):
    """Number of strays that a repair removed: faces without a record, and records of faces that no
    photograph's record lists.
    """

    faces: int = 0
    records: int = 0


class IndexReport(Struct, kw_only=True, rename="camel"):
    """The changes that brought the index in line."""

    collection_id: str
    indexed: list[IndexedPhotograph] = []
    unchanged: int = 0
    removed: int = 0
    failed: list[FailedPhotograph] = []
    next_token: str | None = None
    repaired: Repaired | msgspec.UnsetType = msgspec.UNSET


class Match(Struct, frozen=True, rename="camel"):
    """A person with a similar face, and the registered photograph that is most similar."""

    person_id: str
    name: str
    similarity: float
    face_id: str
    image_key: str


class Verification(Struct, frozen=True, rename="camel"):
    """The result of a verification, with the person if one was recognised."""

    verified: bool
    person: Person | None
    similarity: float | None
    threshold: float
    matches: list[Match]
    face: SearchedFace


class ProblemDetails(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An error (RFC 9457), with a code for programs and the request's id in the logs."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: tuple[FieldError, ...] = ()
    """The fields that caused the error."""
    person_id: str | None = None
    """Owner of the face, if it is registered to another person."""
