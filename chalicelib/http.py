"""HTTP: read the requests that Chalice hands over, and write its responses.

A request comes as JSON, as ``multipart/form-data``, or as a raw photograph with the other fields in
the query. Responses are JSON; errors are problem details (RFC 9457).
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from chalice.app import MultiDict, Request, Response
from msgspec import Struct

from chalicelib import images
from chalicelib.errors import (
    MAX_ECHO,
    Forbidden,
    ImageMissing,
    ImageTooLarge,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Problem,
    Throttled,
    Unauthorized,
    UnsupportedMediaType,
    as_problem,
    malformed,
)
from chalicelib.images import Photograph
from chalicelib.messages import ProblemDetails

MAX_BODY_BYTES = 6 * 1024 * 1024
"""Lambda's limit: it fits a photograph of :data:`images.MAX_INLINE_BYTES` in base64."""
MAX_FORM_PARTS = 10
"""More than any request has fields."""

JSON = "application/json"
FORM = "multipart/form-data"
PROBLEM_JSON = "application/problem+json"

T = TypeVar("T", bound=Struct)
V = TypeVar("V")

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALIDATION_ERROR = re.compile(r"^(?P<detail>.*?)(?: - at `\$\.?(?P<field>[^`]*)`)?$", re.DOTALL)
"""A message of msgspec: the error and, at the end, the place."""
_QUOTED_FIELD = re.compile(r"field `(?P<field>[^`]+)`")
"""The field in messages about fields that are unknown or missing."""


# --- requests -------------------------------------------------------------------------------


def request_id(request: Request) -> str:
    """Return the id of a request in the logs."""
    lambda_id = getattr(request.lambda_context, "aws_request_id", "")
    return str(request.context.get("requestId") or lambda_id)


def read_request(request: Request, kind: type[T]) -> T:
    """Read a request of the given type from JSON, from a form, or from a photograph and the query.

    Raises:
        MalformedRequest: the request does not match ``kind``; the error names the field.
        UnsupportedMediaType: the body has another type.
        ImageMissing, UnsupportedImage, ImageTooLarge, ImageTooSmall: the photograph cannot be used.
    """
    content_type = request.headers.get("content-type", JSON)
    media_type = content_type.split(";")[0].strip().lower()
    has_image = "image" in kind.__struct_fields__
    accepted = [JSON, *images.EXTENSIONS, FORM] if has_image else [JSON]
    try:
        body = _body(request)
        if has_image and media_type.startswith("image/"):
            if not body:
                raise ImageMissing("The body is empty. Send the photograph as the body.")
            photograph = images.from_bytes(body)
            return _from_text(_unique(_query(request.query_params)), photograph, kind)
        if media_type not in accepted:
            raise UnsupportedMediaType(f"The body has to be {' or '.join(accepted)}.")
        for name, _ in _query(request.query_params):
            raise malformed(name, "Expected in the body, not in the query")
        if media_type == FORM:
            return _from_form(body, content_type, kind)
        return _from_json(body or b"{}", kind)
    except msgspec.ValidationError as error:
        raise _as_malformed(error) from None
    except RecursionError:
        raise MalformedRequest("The body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedRequest(f"The body is not valid JSON: {error}") from None


def _body(request: Request) -> bytes:
    event = request.to_original_event()
    is_encoded = event.get("isBase64Encoded")
    # Chalice's raw_body takes four times as long to decode base64.
    body: Any = images.decoded(event["body"]) if is_encoded else request.raw_body
    assert isinstance(body, bytes)
    if len(body) > MAX_BODY_BYTES:
        raise ImageTooLarge(
            f"The request has {len(body) / 1024**2:.1f} MiB. {images.WHERE_TO_WITH_LARGE_ONES}"
        )
    return body


def _from_json(body: bytes, kind: type[T]) -> T:
    # The first pass finds only the bounds of each member. So unwanted values are never built, and
    # the text of the photograph is not copied more often than necessary.
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
    request = msgspec.convert(fields, kind, dec_hook=_unchanged)
    # A dictionary keeps the last of several members with the same name. The quotes around the names
    # of the others give them away: no other quotes are left over.
    if body.count(b'"') != sum(2 + _count_quotes(value) for value in members.values()):
        raise MalformedRequest("A field comes twice.")
    return request


def _count_quotes(value: bytes) -> int:
    """Count the quotes in a JSON value, without searching a long text that has no escapes."""
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
    """Read ``multipart/form-data`` (RFC 7578)."""
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
    fields = _unique((name, b"".join(content)) for name, content in parts)
    image = fields.pop("image", None)
    if image == b"":
        raise ImageMissing("The field image of the form holds no photograph. Attach one to it.")
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
        raise malformed("image", "Expected in the body, not in the query")
    # msgspec takes the text "null" for an omitted number.
    for name in ("threshold", "maxMatches"):
        if fields.get(name) == "null":
            raise malformed(name, "Expected a number")
    given = fields if photograph is None else {**fields, "image": photograph}
    return msgspec.convert(given, kind, strict=False, dec_hook=_unchanged)


def _query(parameters: MultiDict | None) -> Iterable[tuple[str, str]]:
    if parameters is not None:
        for name in parameters:
            for value in parameters.getlist(name):
                yield name, value


def _unique(fields: Iterable[tuple[str, V]]) -> dict[str, V]:
    """Return fields by name.

    Raises:
        MalformedRequest: a field comes twice.
    """
    found: dict[str, V] = {}
    for name, value in fields:
        if name in found:
            raise malformed(name, "Expected once")
        found[name] = value
    return found


def _unchanged(kind: type, value: Any) -> Any:
    """Pass on a photograph, a type that msgspec does not know."""
    if isinstance(value, kind):
        return value
    raise NotImplementedError(kind)


def _as_malformed(error: msgspec.ValidationError) -> MalformedRequest:
    """Translate an error of msgspec."""
    message = str(error)
    found = _VALIDATION_ERROR.match(message)
    detail = (found["detail"] if found else message)[: 2 * MAX_ECHO]
    quoted = _QUOTED_FIELD.search(message)
    field = (found["field"] if found else "") or (quoted["field"] if quoted else "")
    return malformed(field, detail) if field else MalformedRequest(detail)


# --- responses ------------------------------------------------------------------------------


def json_response(body: Struct, status: int = 200) -> Response:
    """Return a message as a JSON response."""
    headers: dict[str, str | list[str]] = {"Content-Type": JSON}
    return Response(msgspec.json.encode(body).decode(), headers, status)


def problem_response(problem: Problem, request_id: str) -> Response:
    """Return a problem as an ``application/problem+json`` response."""
    headers: dict[str, str | list[str]] = {"Content-Type": PROBLEM_JSON}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    body = msgspec.json.encode(problem_details(problem, request_id)).decode()
    return Response(body, headers, int(problem.status))


def problem_details(problem: Problem, request_id: str) -> ProblemDetails:
    """Return the problem details of a request that failed."""
    return ProblemDetails(
        type=f"urn:facial-recognition:problem:{problem.code}",
        title=problem.title,
        status=int(problem.status),
        detail=problem.detail,
        code=problem.code,
        request_id=request_id,
        errors=problem.errors,
        person_id=problem.person_id,
    )


def finish_response(response: Response, request_id: str, cors: Mapping[str, str]) -> Response:
    """Return a response with the headers of every response.

    Chalice answers some errors itself, in its own format. They become problem details.
    """
    if response.status_code >= HTTPStatus.BAD_REQUEST and not isinstance(response.body, str):
        problem = problem_response(problem_of_status(response.status_code), request_id)
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


_PROBLEMS_BY_STATUS = {
    HTTPStatus.UNAUTHORIZED: Unauthorized("The credentials are missing or not valid."),
    HTTPStatus.FORBIDDEN: Forbidden("These credentials do not allow this request."),
    HTTPStatus.NOT_FOUND: NotFound("There is no such route."),
    HTTPStatus.METHOD_NOT_ALLOWED: MethodNotAllowed("Send a POST request."),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: UnsupportedMediaType("The type of the body is not read."),
    HTTPStatus.TOO_MANY_REQUESTS: Throttled("The service is busy. Try again in a moment."),
}


def problem_of_status(status: int) -> Problem:
    """Return the problem to report for an error that Chalice reports by status alone."""
    if status in _PROBLEMS_BY_STATUS:
        return _PROBLEMS_BY_STATUS[HTTPStatus(status)]
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return MalformedRequest("The request cannot be understood.")
    return as_problem(RuntimeError())
