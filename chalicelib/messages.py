"""The HTTP vocabulary: what may be asked, and what is answered.

The types are the contract. JSON is camelCase; a member that is not declared here is refused.
"""

import re
from typing import Annotated, Any, TypeVar

import msgspec
from chalice.app import MultiDict, Request, Response
from msgspec import Meta, Struct

from chalicelib import images
from chalicelib.errors import (
    FieldError,
    ImageMissing,
    MalformedRequest,
    Problem,
    UnsupportedImage,
)
from chalicelib.images import Photograph

PersonId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
CONSENT_PATTERN = r"^[A-Za-z0-9_.-]{1,40}\Z"
Consent = Annotated[str, Meta(pattern=CONSENT_PATTERN)]
ImageKey = Annotated[str, Meta(min_length=1, max_length=1024)]
Percentage = Annotated[float, Meta(ge=0, le=100)]

# --- asked ----------------------------------------------------------------------------------


class RegisterRequest(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``POST /register``: this photograph shows this person."""

    name: Name
    person_id: PersonId | None = None
    consent: Consent | None = None
    """Version of the text that the person agreed to."""
    image: Photograph | None = None
    content_type: str | None = None
    """Of the photograph to be uploaded, where none is sent along."""

    def __post_init__(self) -> None:
        """Tidy the name and refuse what a name cannot be."""
        self.name = self.name.strip()
        if not self.name or not self.name.isprintable():
            raise ValueError("Expected visible characters - at `$.name`")
        if self.content_type is not None and self.content_type not in images.EXTENSIONS:
            allowed = " or ".join(images.EXTENSIONS)
            raise ValueError(f"Expected {allowed} - at `$.contentType`")
        if self.content_type is not None and self.image is not None:
            raise ValueError("Expected only without an image - at `$.contentType`")


class CreateIndexRequest(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``POST /create-index``: bring the index in line with the photographs."""

    image_key: ImageKey | None = None
    person_id: PersonId | None = None
    next_token: str | None = None
    repair: bool = False
    """Whether to look at every face and every record too."""

    def __post_init__(self) -> None:
        """Refuse two selections at once."""
        if self.image_key is not None and self.person_id is not None:
            raise ValueError("Expected imageKey or personId, not both - at `$.personId`")


class VerifyRequest(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``POST /verify``: whose face is this, or is it this person's."""

    image: Photograph | None = None
    person_id: PersonId | None = None
    threshold: Percentage | None = None
    max_matches: Annotated[int, Meta(ge=1, le=100)] = 10


# --- answered -------------------------------------------------------------------------------


class BoundingBox(Struct, frozen=True, rename="camel"):
    """Where a face is, as fractions of the image's width and height."""

    left: float
    top: float
    width: float
    height: float


class Quality(Struct, frozen=True, rename="camel"):
    """How well a face is lit and in focus, 0 to 100."""

    brightness: float
    sharpness: float


class Pose(Struct, frozen=True, rename="camel"):
    """Where a face looks, in degrees."""

    roll: float
    yaw: float
    pitch: float


class Face(Struct, frozen=True, rename="camel"):
    """A face found in a photograph."""

    bounding_box: BoundingBox
    confidence: float
    quality: Quality
    pose: Pose


class Upload(Struct, frozen=True, rename="camel"):
    """Where and how a photograph can be uploaded: a presigned POST."""

    url: str
    fields: dict[str, str]
    expires_in: int


class Registered(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The answer of ``POST /register``: with ``face`` or with ``upload``."""

    person_id: str
    name: str
    image_key: str
    status: str
    face: Face | None = None
    upload: Upload | None = None


class IndexedPhotograph(Struct, frozen=True, rename="camel"):
    """A photograph whose face has just been indexed."""

    image_key: str
    person_id: str
    face_id: str


class FailedPhotograph(Struct, frozen=True, rename="camel"):
    """A photograph without a face in the index, and why."""

    image_key: str
    code: str
    detail: str


class Repaired(Struct, rename="camel"):
    """What a repair removed because nothing accounted for it."""

    faces: int = 0
    """From the collection: those without a record."""
    records: int = 0
    """Of faces, from the table: those that no photograph's record lists."""


class IndexReport(Struct, kw_only=True, rename="camel"):
    """The answer of ``POST /create-index``."""

    collection_id: str
    indexed: list[IndexedPhotograph] = []
    unchanged: int = 0
    removed: int = 0
    failed: list[FailedPhotograph] = []
    next_token: str | None = None
    repaired: Repaired | msgspec.UnsetType = msgspec.UNSET


class Person(Struct, frozen=True, rename="camel"):
    """Somebody who is registered."""

    person_id: str
    name: str


class Match(Struct, frozen=True, rename="camel"):
    """A person whose face is similar, with the registered photograph that is most similar."""

    person_id: str
    name: str
    similarity: float
    face_id: str
    image_key: str


class SearchedFace(Struct, frozen=True, rename="camel"):
    """The face that was looked for: the largest in the photograph."""

    bounding_box: BoundingBox
    confidence: float


class Verification(Struct, frozen=True, rename="camel"):
    """The answer of ``POST /verify``."""

    verified: bool
    person: Person | None
    similarity: float | None
    threshold: float
    matches: list[Match]
    face: SearchedFace


# --- over HTTP ------------------------------------------------------------------------------

T = TypeVar("T", bound=Struct)

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<field>[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"field `(?P<field>[^`]+)`")


def read(request: Request, kind: type[T]) -> T:
    """Read a request from JSON, or from a raw photograph with query parameters.

    Raises:
        MalformedRequest: it is not what ``kind`` declares; the error names the field.
        UnsupportedImage, ImageTooLarge, ImageTooSmall: its photograph cannot be used.
    """
    content_type = request.headers.get("content-type", "application/json")
    media_type = content_type.split(";")[0].strip().lower()
    try:
        if media_type in images.EXTENSIONS and "image" in kind.__struct_fields__:
            fields: dict[str, Any] = _query(request.query_params)
            if not request.raw_body:
                raise ImageMissing(f"The body is empty; {media_type} was announced.")
            fields["image"] = request.raw_body
            return msgspec.convert(fields, kind, strict=False, dec_hook=_decode)
        if media_type == "application/json":
            return msgspec.json.decode(request.raw_body or b"{}", type=kind, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise _malformed(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRequest(f"The body is not valid JSON: {error}") from None
    raise UnsupportedImage(
        f"The body is {media_type or 'of no type'}; send application/json"
        + (", image/jpeg or image/png." if "image" in kind.__struct_fields__ else ".")
    )


def reply(body: Struct, status: int = 200) -> Response:
    """Answer with a message as JSON."""
    headers: dict[str, str | list[str]] = {"Content-Type": "application/json"}
    return Response(msgspec.json.encode(body).decode(), headers, status)


def _query(parameters: MultiDict | None) -> dict[str, Any]:
    return {} if parameters is None else {name: parameters[name] for name in parameters}


def _decode(kind: type, value: Any) -> Any:
    """Decode what msgspec does not know: a photograph, from its bytes or their base64."""
    if kind is not Photograph:
        raise NotImplementedError(kind)
    if isinstance(value, bytes):
        return images.from_bytes(value)
    if isinstance(value, str):
        return images.from_base64(value)
    raise ValueError("Expected base64 text")


def _malformed(message: str) -> Problem:
    place = _PLACE.match(message)
    what = place["what"] if place else message
    named = _NAMED.search(message)
    field = (place["field"] if place else "") or (named["field"] if named else "")
    errors = [FieldError(field, what)] if field else []
    return MalformedRequest(f"{field}: {what}" if field else what, errors=errors)
