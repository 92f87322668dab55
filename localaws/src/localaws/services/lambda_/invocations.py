"""Lambda's Invoke for functions that run here, deployed or not; moto answers the rest."""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from werkzeug.wrappers import Request, Response

from localaws.services.lambda_ import TooManyRequests
from localaws.services.lambda_.asynchronous import Functions, error_payload

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MOST_BYTES = 6 * 1024 * 1024 + 100
"""Of an event."""

_PATH = re.compile(r"/2015-03-31/functions/(?:arn:[^/]*:function:)?([^:/]+)(?::[^/]*)?/invocations")


class Invocations:
    """WSGI middleware that invokes functions by the Lambda API."""

    def __init__(self, app: "WSGIApplication", functions: Functions) -> None:
        """Take moto's application, and the functions that run here."""
        self._app = app
        self._functions = functions

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Invoke a function that is known; pass on all other requests."""
        path = _PATH.fullmatch(unquote(environ.get("PATH_INFO", "")))
        if path is None or path[1] not in self._functions:
            return self._app(environ, start_response)
        request = Request(environ)
        if (request.content_length or 0) > MOST_BYTES:
            message = f"Request must be smaller than {MOST_BYTES} bytes for the InvokeFunction"
            return _refusal(413, "RequestTooLargeException", f"{message} operation")(
                environ, start_response
            )
        try:
            event = json.loads(request.get_data() or b"{}")
        except ValueError as error:
            message = f"Could not parse request body into json: {error}"
            return _refusal(400, "InvalidRequestContentException", message)(environ, start_response)
        if request.headers.get("X-Amz-Invocation-Type") == "Event":
            self._functions.invoke(path[1], event)
            return Response(status=202)(environ, start_response)
        try:
            body, headers = self._functions.call(path[1], event), {}
        except TooManyRequests:
            return _refusal(429, "TooManyRequestsException", "Rate Exceeded.")(
                environ, start_response
            )
        except Exception as error:
            body = error_payload(error)
            headers = {"X-Amz-Function-Error": "Unhandled"}
        headers["X-Amz-Executed-Version"] = "$LATEST"
        return Response(json.dumps(body), 200, headers)(environ, start_response)


def _refusal(status: int, code: str, message: str) -> Response:
    body = json.dumps({"Type": "User", "message": message})
    headers = {"x-amzn-ErrorType": code}
    return Response(body, status, headers, content_type="application/json")
