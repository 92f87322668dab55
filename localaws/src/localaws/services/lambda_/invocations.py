"""Lambda's Invoke for functions that run here; moto answers it for all others."""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from werkzeug.wrappers import Request, Response

from localaws.errors import DataNotStored
from localaws.refusals import RequestRefused, error_response
from localaws.request import request_of
from localaws.services.lambda_.errors import TooManyRequests
from localaws.services.lambda_.event_queue import error_payload
from localaws.services.lambda_.functions import Functions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MOST_BYTES: Final = 6 * 1024 * 1024 + 100
"""The most bytes of an event."""

_PATH: Final = re.compile(
    r"/2015-03-31/functions/(?:arn:[^/]*:function:)?([^:/]+)(?::[^/]*)?/invocations"
)


class Invocations:
    """Layer that invokes functions for requests to Lambda's API."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Invoke a function that is known here; pass on all other requests."""
        path = _PATH.fullmatch(unquote(environ.get("PATH_INFO", "")))
        called = request_of(environ)
        is_for_lambda = called.method == "POST" and (
            called.service == "lambda" or called.access_key_id is None
        )
        if path is None or not is_for_lambda or path[1] not in self._functions:
            return inner(environ, start_response)
        request = Request(environ)
        try:
            response = self._invoke(path[1], request)
        except RequestRefused as refused:
            response = error_response(request_of(environ), refused)
        return response(environ, start_response)

    def _invoke(self, function: str, request: Request) -> Response:
        event = _event(request)
        if request.headers.get("X-Amz-Invocation-Type") == "Event":
            try:
                self._functions.invoke(function, event)
            except DataNotStored as error:
                raise RequestRefused("ServiceException", str(error), 500) from error
            return Response(status=202)
        try:
            result, headers = self._functions.call(function, event), {}
        except TooManyRequests:
            raise RequestRefused("TooManyRequestsException", "Rate Exceeded.", 429) from None
        except Exception as error:
            result = error_payload(error)
            headers = {"X-Amz-Function-Error": "Unhandled"}
        headers["X-Amz-Executed-Version"] = "$LATEST"
        return Response(json.dumps(result), 200, headers)


def _event(request: Request) -> Any:
    """Return the event of a request.

    Raises:
        RequestRefused: the event is too large, or is not JSON.
    """
    if (request.content_length or 0) > MOST_BYTES:
        raise RequestRefused(
            "RequestTooLargeException",
            f"Request must be smaller than {MOST_BYTES} bytes for the InvokeFunction operation",
            413,
        )
    try:
        return json.loads(request.get_data() or b"{}")
    except (ValueError, RecursionError) as error:  # the latter for arrays in arrays
        message = f"Could not parse request body into json: {error}"
        raise RequestRefused("InvalidRequestContentException", message) from error
