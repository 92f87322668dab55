"""Lambda's Invoke for functions that run here without being deployed; moto answers the rest."""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from werkzeug.wrappers import Request, Response

from localaws.functions import Functions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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
        event = json.loads(request.get_data() or b"{}")
        if request.headers.get("X-Amz-Invocation-Type") == "Event":
            self._functions.invoke(path[1], event)
            return Response(status=202)(environ, start_response)
        try:
            body, headers = self._functions.call(path[1], event), {}
        except Exception as error:
            body = {"errorMessage": str(error), "errorType": type(error).__name__}
            headers = {"X-Amz-Function-Error": "Unhandled"}
        return Response(json.dumps(body), 200, headers)(environ, start_response)
