"""Rekognition over HTTP: AWS's JSON 1.1 protocol as a WSGI application.

A request is a POST with a JSON object as body. Its header ``X-Amz-Target`` names the operation.
"""

import json
import logging
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore import xform_name
from werkzeug.wrappers import Request, Response

from localaws.bodies import BodyRefused, Reason, read_whole
from localaws.errors import DataNotStored
from localaws.rekognition import shapes
from localaws.rekognition.collections import Collections
from localaws.rekognition.engine import OpenVINOEngine
from localaws.rekognition.exceptions import (
    AWSError,
    InternalServerError,
    NotImplementedException,
    RequestEntityTooLargeException,
    SerializationException,
    ThrottlingException,
    UnknownOperationException,
    ValidationException,
)
from localaws.rekognition.faces import Lag
from localaws.rekognition.operations import Operations, ReadObject

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_TARGET_PREFIX: Final = "RekognitionService."
_CONTENT_TYPE: Final = "application/x-amz-json-1.1"
# The largest valid request, CompareFaces with two images of 5 MB, takes 14 MB as base64.
_MAX_REQUEST_BYTES: Final = 32 * 1024 * 1024

_logger = logging.getLogger(__name__)


class RekognitionApp:
    """A local Amazon Rekognition.

    Example:
        >>> photographs = {("bucket", "ada.jpg", None): jpeg_bytes}
        >>> app = RekognitionApp(lambda *address: photographs[address])
        >>> werkzeug.serving.run_simple("127.0.0.1", 4566, app, threaded=True)

    Args:
        read_object: returns the bytes of an S3 object, given its bucket, key and version (None for
            the latest). It raises ``LookupError`` if the object does not exist or may not be read.
        region: the region in the ARNs of collections.
        account: the account in the ARNs of collections.
        path: the database file, created if missing. None keeps all data in memory only.

    Raises:
        localaws.errors.DataUnusable: the file is damaged, or was written with another face model.
    """

    def __init__(
        self,
        read_object: ReadObject,
        *,
        region: str = "us-east-1",
        account: str = "123456789012",
        path: Path | None = None,
    ) -> None:
        self._collections = Collections(path)
        self._engine = OpenVINOEngine()
        self._operations = Operations(
            self._collections, self._engine, read_object, region=region, account=account
        )

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        request = Request(environ)
        try:
            status, body = 200, self._answer(request)
        except AWSError as error:
            status, body = error.status, _error_body(error)
        response = Response(json.dumps(body, allow_nan=False), status, content_type=_CONTENT_TYPE)
        response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
        return response(environ, start_response)

    def warm_up(self) -> None:
        """Load the face models now rather than on the first request that needs them.

        Raises:
            ModelUnavailable: the models are missing, or differ from the published files.
        """
        self._engine.warm_up()

    @property
    def lag(self) -> Lag:
        """How long listings and searches do not show a new face."""
        return self._collections.lag

    def reset(self) -> None:
        """Delete all collections."""
        self.lag.seconds = 0.0
        self._collections.clear()

    def close(self) -> None:
        """Close the database. The application cannot answer requests afterwards."""
        self._collections.close()

    def _answer(self, request: Request) -> dict[str, Any]:
        operation = request.headers.get("X-Amz-Target", "").removeprefix(_TARGET_PREFIX)
        try:
            return self._perform(operation, request)
        except AWSError:
            raise
        except DataNotStored as error:
            raise InternalServerError(str(error)) from error
        except Exception as error:
            _logger.exception("%s failed", operation)
            raise InternalServerError from error

    def _perform(self, operation: str, request: Request) -> dict[str, Any]:
        model = shapes.service_model()
        if operation not in model.operation_names:
            raise UnknownOperationException
        perform = getattr(self._operations, xform_name(operation), None)
        if perform is None:
            raise NotImplementedException(
                f"{operation} is not implemented by the local Rekognition"
            )
        members = _read(model.operation_model(operation).input_shape, request)
        answer: dict[str, Any] = perform(members)
        return answer


def _read(shape: Any, request: Request) -> dict[str, Any]:
    """Return the members of a request, parsed and validated.

    Raises:
        RequestEntityTooLargeException: the body has more than ``_MAX_REQUEST_BYTES``.
        SerializationException: the body is cut off, too slow or not a JSON object, or a member has
            another type.
        InvalidImageFormatException: the bytes of an image are not base64.
        ValidationException: a member breaks a constraint.
    """
    try:
        content = read_whole(request.environ, _MAX_REQUEST_BYTES)
    except BodyRefused as refused:
        if refused.reason is Reason.TOO_LARGE:
            raise RequestEntityTooLargeException from None
        if refused.reason is Reason.NO_ROOM:
            raise ThrottlingException from None
        raise SerializationException(str(refused)) from None
    try:
        body = json.loads(content or b"{}")
    except (ValueError, RecursionError) as error:
        raise SerializationException("The request body is not valid JSON") from error
    try:
        members: dict[str, Any] = shapes.parse(shape, body)
    except OverflowError as error:  # a number that no float can hold
        raise SerializationException("A number is out of range") from error
    broken = list(shapes.violations(shape, members))
    if broken:
        detected = f"{len(broken)} validation error{'s' if len(broken) > 1 else ''} detected"
        raise ValidationException(f"{detected}: {'; '.join(broken)}")
    return members


def _error_body(error: AWSError) -> dict[str, str]:
    return {"__type": error.code, "Code": error.code, "Message": error.message}
