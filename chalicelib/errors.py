"""The errors of the domain, each with a stable code, a title and an HTTP status.

:mod:`chalicelib.http` writes them as responses.
"""

from collections.abc import Iterable
from http import HTTPStatus

from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

THROTTLING_CODES = frozenset(
    {
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "LimitExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
"""Error codes with which Rekognition, DynamoDB and S3 ask a caller to come back later."""
MAX_ECHO = 100
"""Characters of the caller's own text that a response repeats."""


class FieldError(Struct, frozen=True):
    """A field of a request, and its error."""

    field: str
    detail: str


class Problem(Exception):
    """An error to report to the caller, with a code for programs and a sentence for people."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "internal"
    title: str = "Something went wrong on our side"
    retry_after: int | None = None
    """Seconds after which the caller may try again."""

    def __init__(
        self,
        detail: str,
        *,
        errors: Iterable[FieldError] = (),
        person_id: str | None = None,
    ) -> None:
        """Describe one occurrence of the problem.

        Args:
            detail: a sentence for the caller.
            errors: the fields that caused the problem.
            person_id: the owner of the face, if it is registered to another person.
        """
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.person_id = person_id


class MalformedRequest(Problem):
    """The request cannot be parsed, or a field breaks a rule."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed_request"
    title = "The request is malformed"


class ImageMissing(Problem):
    """The request needs a photograph and carries none."""

    status = HTTPStatus.BAD_REQUEST
    code = "image_missing"
    title = "The photograph is missing"


class UnsupportedMediaType(Problem):
    """The route does not read bodies of this type."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    title = "The type of the body is not supported"


class UnsupportedImage(Problem):
    """The bytes are not a JPEG or a PNG, or the file is damaged."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_image"
    title = "The image cannot be read"


class ImageTooLarge(Problem):
    """The photograph has more bytes or pixels than the service accepts."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "image_too_large"
    title = "The photograph is too large"


class ImageTooSmall(Problem):
    """The photograph has fewer pixels than recognition needs."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "image_too_small"
    title = "The photograph is too small"


class NoFace(Problem):
    """The photograph shows no face."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "no_face"
    title = "No face in the photograph"


class SeveralFaces(Problem):
    """The photograph shows more than one person."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "several_faces"
    title = "Several faces in the photograph"


class PoorQuality(Problem):
    """The face is too small, too dark or too blurred to recognise a person by it."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "poor_quality"
    title = "The face cannot be recognised well enough"


class FaceRegisteredToAnotherPerson(Problem):
    """The face is already registered to another person."""

    status = HTTPStatus.CONFLICT
    code = "face_registered_to_another_person"
    title = "The face is registered to another person"


class PersonUnknown(Problem):
    """Nobody is registered under this person id."""

    status = HTTPStatus.NOT_FOUND
    code = "person_unknown"
    title = "The person is unknown"


class PhotographNotKept(Problem):
    """The face of a photograph is lost, and so is the photograph, because the stage keeps none."""

    status = HTTPStatus.GONE
    code = "photograph_not_kept"
    title = "The photograph was not kept"


class InvalidKey(Problem):
    """The key of an object in S3 names no person."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_key"
    title = "The key names no person"


class Throttled(Problem):
    """AWS throttles the calls of the service."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "throttled"
    title = "Too many requests"
    retry_after = 1


class ServiceUnavailable(Problem):
    """A service that this one needs cannot be reached or is not set up."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "service_unavailable"
    title = "The service is not available right now"
    retry_after = 5


class Unauthorized(Problem):
    """The request carries no valid credentials."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"
    title = "The caller is not known"


class Forbidden(Problem):
    """The caller is not allowed to make this request."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    title = "The caller may not do this"


class NotFound(Problem):
    """The route does not exist."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "There is nothing here"


class MethodNotAllowed(Problem):
    """The route does not accept this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"
    title = "The method is not allowed here"


class RequestTimeout(Problem):
    """The request did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request_timeout"
    title = "The request took too long to arrive"
    retry_after = 1


def malformed(field: str, detail: str) -> MalformedRequest:
    """Return the problem of one malformed field."""
    field = field[:MAX_ECHO].encode(errors="replace").decode()  # it may hold lone surrogates
    return MalformedRequest(f"{field}: {detail}", errors=[FieldError(field, detail)])


def as_problem(error: Exception) -> Problem:
    """Return the problem to report for any exception; nothing of an exception's text is passed on.

    Only the text of a :class:`Problem` reaches the caller: it is written for callers.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        if code in THROTTLING_CODES:
            return Throttled("The service is busy. Try again in a moment.")
        if code == "ResourceNotFoundException":
            return ServiceUnavailable("The face index does not exist yet: POST /create-index.")
        return ServiceUnavailable(
            "A service behind this one answered with an error. Try again later."
        )
    if isinstance(error, BotoCoreError):
        return ServiceUnavailable(
            "A service behind this one could not be reached. Try again later."
        )
    return Problem("The request could not be completed. Report its requestId to the operator.")
