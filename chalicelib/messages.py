"""The HTTP vocabulary: what may be asked, and what is answered.

The types are the contract. JSON is camelCase; a member that is not declared here is refused.
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from chalice.app import MultiDict, Request, Response
from msgspec import Meta, Struct

from chalicelib import images
from chalicelib.errors import (
    FieldError,
    ImageMissing,
    ImageTooLarge,
    MalformedRequest,
    UnsupportedMediaType,
    of_status,
)
from chalicelib.images import Photograph

MAX_BODY_BYTES = 6 * 1024 * 1024
"""What Lambda takes: a photograph of :data:`images.MAX_INLINE_BYTES` as base64, and the rest."""
MAX_FORM_PARTS = 10
"""More than the fields of any request."""
MAX_KEY_BYTES = 1024
"""S3's limit."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

PersonId = Annotated[
    str,
    Meta(
        pattern=r"^(?!\.{1,2}\Z)[A-Za-z0-9_.-]{1,64}\Z",
        description="Names a person: letters, digits, `_`, `.` and `-`, but no dots alone.",
    ),
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="What the person is called, in any script; visible characters and spaces.",
    ),
]
ImageKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_KEY_BYTES,
        description="Where the photograph is in the bucket: `faces/<personId>/<file>`.",
    ),
]
CONSENT_PATTERN = r"^[A-Za-z0-9_.-]{1,40}\Z"
Consent = Annotated[
    str,
    Meta(
        pattern=CONSENT_PATTERN,
        description="The version of the text that the person has agreed to.",
    ),
]
Percentage = Annotated[float, Meta(ge=0, le=100)]
ContentType = Annotated[
    Literal["image/jpeg", "image/png"],
    Meta(description="Of the photograph to be uploaded, where none is sent along."),
]
NextToken = Annotated[
    str,
    Meta(min_length=1, max_length=4096, description="From an earlier answer, to go on after it."),
]

_JOINERS = {0x200C: None, 0x200D: None}
"""Zero width, but part of how names are written in Persian, Sinhala and Hindi, say."""


def is_visible(name: str) -> bool:
    """Say whether a name has visible characters and spaces only."""
    visible = name.translate(_JOINERS)
    return bool(visible.strip()) and visible.isprintable()


# --- asked ----------------------------------------------------------------------------------


class RegisterRequest(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """This photograph shows this person; without a photograph: let me upload one."""

    name: Name
    person_id: PersonId | None = None
    consent: Consent | None = None
    """Version of the text that the person agreed to."""
    image: Photograph | None = None
    content_type: ContentType | None = None

    def __post_init__(self) -> None:
        """Tidy the name and refuse what a name cannot be."""
        self.name = self.name.strip()
        if not is_visible(self.name):
            raise ValueError("Expected visible characters - at `$.name`")
        if self.content_type is not None and self.image is not None:
            raise ValueError("Expected only without an image - at `$.contentType`")


class CreateIndexRequest(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Bring the index in line with the photographs: all, those of a person, or one."""

    image_key: ImageKey | None = None
    person_id: PersonId | None = None
    next_token: NextToken | None = None
    repair: Annotated[
        bool, Meta(description="Whether to look at every face and every record too.")
    ] = False

    def __post_init__(self) -> None:
        """Refuse two selections at once, and what no key in S3 can be."""
        if self.image_key is not None:
            if len(self.image_key.encode()) > MAX_KEY_BYTES:
                raise ValueError(f"Expected at most {MAX_KEY_BYTES} bytes - at `$.imageKey`")
            if _CONTROL.search(self.image_key):
                raise ValueError("Expected no control characters - at `$.imageKey`")
        if self.image_key is not None and self.person_id is not None:
            raise ValueError("Expected imageKey or personId, not both - at `$.personId`")


class VerifyRequest(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Whose face is this, or, with ``personId``, is it this person's."""

    image: Photograph | None = None
    person_id: PersonId | None = None
    threshold: (
        Annotated[Percentage, Meta(description="Similarity from which the answer is yes.")] | None
    ) = None
    max_matches: Annotated[
        int, Meta(ge=1, le=100, description="Persons to be named at most, the best first.")
    ] = 10


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
    """What is registered: with ``face``, or with ``upload`` where a photograph is still to come."""

    person_id: str
    name: str
    image_key: str
    status: Literal["registered"]
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
    """What a repair removed because nothing accounted for it: faces without a record, and records
    of faces that no photograph's record lists.
    """

    faces: int = 0
    records: int = 0


class IndexReport(Struct, kw_only=True, rename="camel"):
    """What was done to bring the index in line."""

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
    """Whether somebody was recognised, and who."""

    verified: bool
    person: Person | None
    similarity: float | None
    threshold: float
    matches: list[Match]
    face: SearchedFace


# --- over HTTP ------------------------------------------------------------------------------

T = TypeVar("T", bound=Struct)
V = TypeVar("V")

JSON = "application/json"
FORM = "multipart/form-data"

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<field>[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"field `(?P<field>[^`]+)`")
_LONGEST_ECHO = 100
"""Characters of a caller's own words that an answer repeats."""


def read(request: Request, kind: type[T]) -> T:
    """Read a request: JSON; or a form; or a photograph, with query parameters for the rest.

    Raises:
        MalformedRequest: it is not what ``kind`` declares; the error names the field.
        UnsupportedMediaType: the body is something else.
        ImageMissing, UnsupportedImage, ImageTooLarge, ImageTooSmall: its photograph cannot be used.
    """
    content_type = request.headers.get("content-type", JSON)
    media_type = content_type.split(";")[0].strip().lower()
    takes_image = "image" in kind.__struct_fields__
    kinds = [JSON, *images.EXTENSIONS, FORM] if takes_image else [JSON]
    try:
        body = _body(request)
        if takes_image and media_type.startswith("image/"):
            if not body:
                raise ImageMissing("The body is empty though a photograph was announced.")
            photograph = images.from_bytes(body)
            return _from_text(_unrepeated(_query(request.query_params)), photograph, kind)
        if media_type not in kinds:
            raise UnsupportedMediaType(f"The body has to be {' or '.join(kinds)}.")
        for name, _ in _query(request.query_params):
            raise malformed(name, "Expected in the body, not in the query")
        if media_type == FORM:
            return _from_form(body, content_type, kind)
        return _from_json(body or b"{}", kind)
    except msgspec.ValidationError as error:
        raise _malformed(str(error)) from None
    except RecursionError:
        raise MalformedRequest("The body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedRequest(f"The body is not valid JSON: {error}") from None


def _body(request: Request) -> bytes:
    event = request.to_original_event()
    is_encoded = event.get("isBase64Encoded")
    # Chalice's raw_body takes four times as long to decode it.
    body: Any = images.decoded(event["body"]) if is_encoded else request.raw_body
    assert isinstance(body, bytes)
    if len(body) > MAX_BODY_BYTES:
        raise ImageTooLarge(
            f"The request has {len(body) / 1024**2:.1f} MiB. {images.WHERE_TO_WITH_LARGE_ONES}"
        )
    return body


def reply(body: Struct, status: int = 200) -> Response:
    """Answer with a message as JSON."""
    headers: dict[str, str | list[str]] = {"Content-Type": JSON}
    return Response(msgspec.json.encode(body).decode(), headers, status)


def complete(response: Response, request_id: str, cors: Mapping[str, str]) -> Response:
    """Give an answer what all have in common; one in Chalice's own words becomes a problem."""
    if response.status_code >= HTTPStatus.BAD_REQUEST and not isinstance(response.body, str):
        problem = of_status(response.status_code).to_response(request_id)
        response = Response(
            problem.body, {**response.headers, **problem.headers}, problem.status_code
        )
    response.headers.update(
        {
            **cors,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": request_id,
        }
    )
    return response


def malformed(field: str, detail: str) -> MalformedRequest:
    """Name a field, and say what is wrong with it."""
    field = field[:_LONGEST_ECHO].encode(errors="replace").decode()  # lone surrogates
    return MalformedRequest(f"{field}: {detail}", errors=[FieldError(field, detail)])


def _from_json(body: bytes, kind: type[T]) -> T:
    # At first only where each member begins and ends, so that nothing is built of what is not
    # wanted, and the photograph's text is not copied more often than it has to be.
    members = {name: bytes(value) for name, value in _MEMBERS.decode(body).items()}
    for name, value in members.items():
        if value[:1] in (b"[", b"{"):
            raise malformed(name, "Expected neither an array nor an object")
    fields: dict[str, Any] = {}
    for name, value in members.items():
        if name == "image" and "image" in kind.__struct_fields__:
            fields[name] = _photograph(value)
            continue
        try:
            fields[name] = msgspec.json.decode(value)
        except msgspec.ValidationError as error:  # a number that is too large for any field
            raise malformed(name, str(error)) from None
    asked = msgspec.convert(fields, kind, dec_hook=_as_it_is)
    # A dictionary keeps the last of several members with one name. Those before it show by the
    # quotes around their names, which nothing else accounts for.
    if body.count(b'"') != sum(2 + _quotes(value) for value in members.values()):
        raise MalformedRequest("A field comes twice.")
    return asked


def _quotes(value: bytes) -> int:
    """Count the quotes in a JSON value; of a long text without escapes that would take a while."""
    if b"\\" in value:
        return value.count(b'"')
    return 2 if value[:1] == b'"' else 0


def _photograph(value: bytes) -> Photograph | None:
    """Read a photograph from a JSON value."""
    if value == b"null":
        return None
    if value[:1] != b'"':
        raise malformed("image", "Expected base64 text")
    return images.from_base64(msgspec.json.decode(value, type=str))


def _from_form(body: bytes, content_type: str, kind: type[T]) -> T:
    """Read ``multipart/form-data``, RFC 7578."""
    import multipart  # noqa: PLC0415 - few requests need it

    boundary = multipart.parse_options_header(content_type)[1].get("boundary", "")
    parts: list[tuple[str, list[bytes]]] = []
    try:
        with multipart.PushMultipartParser(
            boundary, max_segment_count=MAX_FORM_PARTS, strict=True
        ) as parser:
            for event in parser.parse(body):
                if isinstance(event, multipart.MultipartSegment):
                    parts.append((event.name or "", []))
                elif event is not None:
                    parts[-1][1].append(bytes(event))
    except multipart.MultipartError:
        raise MalformedRequest("The body is not a valid form of a few fields.") from None
    fields = _unrepeated((name, b"".join(content)) for name, content in parts)
    image = fields.pop("image", None)
    if image == b"":
        raise ImageMissing("The form has a field image, but no photograph in it.")
    texts = {}
    for name, content in fields.items():
        try:
            texts[name] = content.decode()
        except UnicodeDecodeError:
            raise malformed(name, "Expected text in UTF-8") from None
    return _from_text(texts, None if image is None else images.from_bytes(image), kind)


def _from_text(fields: Mapping[str, str], photograph: Photograph | None, kind: type[T]) -> T:
    """Read the fields of a form or a query, in which numbers are written as text."""
    if "image" in fields:
        raise malformed("image", "Expected in the body, not the query")
    # msgspec takes the text "null" for a number that is left out.
    for name in ("threshold", "maxMatches"):
        if fields.get(name) == "null":
            raise malformed(name, "Expected a number")
    given = fields if photograph is None else {**fields, "image": photograph}
    return msgspec.convert(given, kind, strict=False, dec_hook=_as_it_is)


def _query(parameters: MultiDict | None) -> Iterable[tuple[str, str]]:
    if parameters is not None:
        for name in parameters:
            for value in parameters.getlist(name):
                yield name, value


def _unrepeated(fields: Iterable[tuple[str, V]]) -> dict[str, V]:
    """Return fields by name.

    Raises:
        MalformedRequest: one is there twice.
    """
    found: dict[str, V] = {}
    for name, value in fields:
        if name in found:
            raise malformed(name, "Expected once")
        found[name] = value
    return found


def _as_it_is(kind: type, value: Any) -> Any:
    """Leave a photograph, which msgspec does not know, as it was read."""
    if isinstance(value, kind):
        return value
    raise NotImplementedError(kind)


def _malformed(message: str) -> MalformedRequest:
    """Put into words what msgspec says."""
    place = _PLACE.match(message)
    what = (place["what"] if place else message)[: 2 * _LONGEST_ECHO]
    named = _NAMED.search(message)
    field = (place["field"] if place else "") or (named["field"] if named else "")
    return malformed(field, what) if field else MalformedRequest(what)
