"""Error answers, in the form that a caller's SDK expects of the service it called."""

import json
import uuid
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from localaws.bodies import BodyRefused, Reason
from localaws.request import AWSRequest

NAMESPACES = {"cloudformation": "http://cloudformation.amazonaws.com/doc/2010-05-15/"}
"""The XML namespaces of the services that are answered here in the query protocol."""


class RequestRefused(Exception):
    """A service refuses a request.

    Args:
        code: AWS's error code, such as ``AccessDenied``.
        message: the text of the error.
        status: of HTTP.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def access_denied(request: AWSRequest, message: str) -> RequestRefused:
    """Return the refusal of a request whose caller lacks a permission."""
    if request.protocol in ("rest-xml", "query"):
        return RequestRefused("AccessDenied", message, 403)
    status = 400 if request.protocol == "json" else 403
    return RequestRefused("AccessDeniedException", message, status)


def throttled(request: AWSRequest, message: str) -> RequestRefused:
    """Return the refusal of a request that came too soon after others."""
    if request.protocol == "rest-xml":
        return RequestRefused("SlowDown", message, 503)
    return RequestRefused("ThrottlingException", message, 400)


def body_refused(request: AWSRequest, refused: BodyRefused) -> RequestRefused:
    """Return the refusal of a request whose body cannot be read."""
    if refused.reason is Reason.NO_ROOM:
        return throttled(request, str(refused))
    if request.protocol != "rest-xml":
        too_large = refused.reason is Reason.TOO_LARGE
        code = "RequestEntityTooLargeException" if too_large else "SerializationException"
        return RequestRefused(code, str(refused), 413 if too_large else 400)
    code = {
        Reason.TOO_LARGE: "EntityTooLarge",
        Reason.TOO_SLOW: "RequestTimeout",
        Reason.CUT_OFF: "IncompleteBody",
    }.get(refused.reason, "InvalidRequest")
    return RequestRefused(code, str(refused), 400)


def error_response(request: AWSRequest, refused: RequestRefused) -> Response:
    """Write a refusal in the protocol of the request."""
    if request.protocol == "rest-xml":
        return _rest_xml(refused)
    if request.protocol == "query":
        return _query(refused, NAMESPACES.get(request.service, ""))
    if request.protocol == "json":
        body = {"__type": refused.code, "message": refused.message}
        return _json(refused, body, "application/x-amz-json-1.1")
    body = {"Type": "User" if refused.status < 500 else "Service", "message": refused.message}
    return _json(refused, body, "application/json")


def _rest_xml(refused: RequestRefused) -> Response:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(refused.code)}</Code>"
        f"<Message>{escape(refused.message)}</Message></Error>"
    )
    return Response(body, refused.status, content_type="application/xml")


def _query(refused: RequestRefused, namespace: str) -> Response:
    fault = "Sender" if refused.status < 500 else "Receiver"
    xmlns = f' xmlns="{namespace}"' if namespace else ""
    body = (
        f"<ErrorResponse{xmlns}>"
        f"<Error><Type>{fault}</Type><Code>{escape(refused.code)}</Code>"
        f"<Message>{escape(refused.message)}</Message></Error>"
        f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return Response(body, refused.status, content_type="text/xml")


def _json(refused: RequestRefused, body: dict[str, str], content_type: str) -> Response:
    headers = {"x-amzn-ErrorType": refused.code}
    return Response(json.dumps(body), refused.status, headers, content_type=content_type)
