"""What can go wrong, and how it reads over HTTP: RFC 9457 problem details."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

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
        "TransactionInProgressException",
    }
)
"""Error codes with which Rekognition, DynamoDB and S3 ask a caller to come back later."""


class FieldError(msgspec.Struct, frozen=True):
    """One field of a request and what is wrong with it."""

    field: str
    detail: str


class Problem(Exception):
    """An error that a caller is told about, with a stable code and words for a person."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "internal"
    title: str = "Something went wrong on our side"
    retry_after: int | None = None

    def __init__(self, detail: str, *, errors: Iterable[FieldError] = (), **extra: Any) -> None:
        """Take the sentence for the caller, the bad fields, and further members of the answer."""
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.extra = extra

    def to_response(self, request_id: str) -> Response:
        """Render as ``application/problem+json``."""
        body: dict[str, Any] = {
            "type": f"urn:facial-recognition:problem:{self.code}",
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
            "code": self.code,
            "requestId": request_id,
            **self.extra,
        }
        if self.errors:
            body["errors"] = self.errors
        headers: dict[str, str | list[str]] = {"Content-Type": PROBLEM_JSON}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return Response(msgspec.json.encode(body).decode(), headers, int(self.status))


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
