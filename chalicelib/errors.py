"""What can go wrong, and how it reads over HTTP: RFC 9457 problem details."""

from collections.abc import Iterable
from http import HTTPStatus

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from chalice.app import Response

PROBLEM_JSON = "application/problem+json"

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


class FieldError(msgspec.Struct, frozen=True):
    """One field of a request and what is wrong with it."""

    field: str
    detail: str


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An error as it is answered: RFC 9457, with a code for programs and an id for the logs."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: tuple[FieldError, ...] = ()
    """The fields that are to blame."""
    person_id: str | None = None
    """Whose the face is, where it is registered to another person."""


class Problem(Exception):
    """An error that a caller is told about, with a stable code and words for a person."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "internal"
    title: str = "Something went wrong on our side"
    retry_after: int | None = None

    def __init__(
        self,
        detail: str,
        *,
        errors: Iterable[FieldError] = (),
        person_id: str | None = None,
    ) -> None:
        """Take the sentence for the caller, the bad fields, and whose the face is already."""
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.person_id = person_id

    def to_details(self, request_id: str) -> ProblemDetails:
        """Describe the problem of a request."""
        return ProblemDetails(
            type=f"urn:facial-recognition:problem:{self.code}",
            title=self.title,
            status=int(self.status),
            detail=self.detail,
            code=self.code,
            request_id=request_id,
            errors=self.errors,
            person_id=self.person_id,
        )

    def to_response(self, request_id: str) -> Response:
        """Render as ``application/problem+json``."""
        headers: dict[str, str | list[str]] = {"Content-Type": PROBLEM_JSON}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        body = msgspec.json.encode(self.to_details(request_id)).decode()
        return Response(body, headers, int(self.status))


class MalformedRequest(Problem):
    """The request cannot be understood, or a field of it breaks a rule."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed_request"
    title = "The request is malformed"


class ImageMissing(Problem):
    """The request carries no photograph though it needs one."""

    status = HTTPStatus.BAD_REQUEST
    code = "image_missing"
    title = "The photograph is missing"


class UnsupportedMediaType(Problem):
    """The body is of a type that this route does not read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    title = "The type of the body is not supported"


class UnsupportedImage(Problem):
    """The bytes are no JPEG or PNG, or a broken one."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_image"
    title = "The image cannot be read"


class ImageTooLarge(Problem):
    """The photograph holds more bytes or pixels than are accepted."""

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
    """The face is too small, too dark or too blurred to be recognised by."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "poor_quality"
    title = "The face cannot be recognised well enough"


class FaceRegisteredToAnotherPerson(Problem):
    """The face already belongs to somebody else."""

    status = HTTPStatus.CONFLICT
    code = "face_registered_to_another_person"
    title = "The face is registered to another person"


class PersonUnknown(Problem):
    """Nobody is registered under this person id."""

    status = HTTPStatus.NOT_FOUND
    code = "person_unknown"
    title = "The person is unknown"


class PhotographNotKept(Problem):
    """The face of a photograph is lost, and the photograph was not kept."""

    status = HTTPStatus.GONE
    code = "photograph_not_kept"
    title = "The photograph was not kept"


class InvalidKey(Problem):
    """The key of an object in S3 does not say whose photograph it is."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_key"
    title = "The key names no person"


class Throttled(Problem):
    """AWS asks us to slow down."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "throttled"
    title = "Too many requests"
    retry_after = 1


class ServiceUnavailable(Problem):
    """A service that we need cannot be reached or is not set up."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "service_unavailable"
    title = "The service is not available right now"
    retry_after = 5


class Unauthorized(Problem):
    """The request does not say who is asking."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"
    title = "The caller is not known"


class Forbidden(Problem):
    """Who is asking may not do this."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    title = "The caller may not do this"


class NotFound(Problem):
    """There is no such route."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "There is nothing here"


class MethodNotAllowed(Problem):
    """The route is there, but not for this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"
    title = "The method is not allowed here"


class RequestTimeout(Problem):
    """The request has not arrived in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request_timeout"
    title = "The request took too long to arrive"
    retry_after = 1


_OF_CHALICE = {
    HTTPStatus.UNAUTHORIZED: Unauthorized("The credentials are missing or not valid."),
    HTTPStatus.FORBIDDEN: Forbidden("These credentials do not allow this request."),
    HTTPStatus.NOT_FOUND: NotFound("There is no such route."),
    HTTPStatus.METHOD_NOT_ALLOWED: MethodNotAllowed("Send a POST request."),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: UnsupportedMediaType("The type of the body is not read."),
    HTTPStatus.TOO_MANY_REQUESTS: Throttled("The service is busy. Try again in a moment."),
}


def of_status(status: int) -> Problem:
    """Say what the caller is told instead of the words that Chalice has for a status."""
    if status in _OF_CHALICE:
        return _OF_CHALICE[HTTPStatus(status)]
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return MalformedRequest("The request cannot be understood.")
    return as_problem(RuntimeError())


def as_problem(error: Exception) -> Problem:
    """Say for any exception what the caller is told; nothing of its text is passed on."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        if code in THROTTLING_CODES:
            return Throttled("The service is busy. Try again in a moment.")
        if code == "ResourceNotFoundException":
            return ServiceUnavailable("The face index does not exist yet: POST /create-index.")
        return ServiceUnavailable("A service that this one builds on answered with an error.")
    if isinstance(error, BotoCoreError):
        return ServiceUnavailable("A service that this one builds on could not be reached.")
    return Problem("The request could not be completed. Its id tells us where to look.")
