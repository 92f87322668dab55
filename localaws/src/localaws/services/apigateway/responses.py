"""Gateway responses: API Gateway's own answers, with the changes that an API's owner has made.

Source: "Gateway response types for API Gateway" in the API Gateway Developer Guide.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from moto.apigateway.models import GatewayResponse, RestAPI
from werkzeug.wrappers import Request, Response

from localaws.account import arn

_TYPES = {
    "ACCESS_DENIED": (403, "User is not authorized to access this resource"),
    "API_CONFIGURATION_ERROR": (500, "Internal server error"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "Internal server error"),
    "BAD_REQUEST_BODY": (400, "Invalid request body"),
    "DEFAULT_4XX": (403, "Forbidden"),
    "DEFAULT_5XX": (502, "Internal server error"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out"),
    "INVALID_API_KEY": (403, "Forbidden"),
    "INVALID_SIGNATURE": (403, "The request signature we calculated does not match"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token"),
    "REQUEST_TOO_LARGE": (413, "Request Too Long"),
    "THROTTLED": (429, "Too Many Requests"),
    "UNAUTHORIZED": (401, "Unauthorized"),
}
"""Status and message by response type, for APIs whose owner has changed neither."""

_CONTEXT = re.compile(r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)*)")
_HEADER = "gatewayresponse.header."


class GatewayRefusal(Exception):
    """API Gateway refuses a request, or fails to get an answer from the function.

    Args:
        kind: the type of the gateway response.
        message: replaces the usual message of the type.
    """

    def __init__(self, kind: str, message: str = "") -> None:
        self.kind = kind
        self.status, usual = _TYPES[kind]
        self.message = message or usual
        super().__init__(self.message)


@dataclass(frozen=True)
class ApiCall:
    """A request to a stage of an API."""

    api: RestAPI
    stage: str
    path: str
    request: Request
    body: bytes
    request_id: str
    identity: dict[str, object] = field(default_factory=dict)
    """The facts about the caller for the event's ``identity``."""
    claims: Mapping[str, object] | None = None
    """The claims of a Cognito user's token; None for other callers."""

    @property
    def arn(self) -> str:
        """The ARN of the method and path, for policies."""
        return arn("execute-api", f"{self.api.id}/{self.stage}/{self.request.method}{self.path}")


def gateway_response(refused: GatewayRefusal, call: ApiCall) -> Response:
    """Return the answer to a refused request."""
    own = call.api.gateway_responses
    fallback = "DEFAULT_5XX" if refused.status >= 500 else "DEFAULT_4XX"
    found: GatewayResponse | None = own.get(refused.kind) or own.get(fallback)
    status, body, media_type = refused.status, None, "application/json"
    headers = {"x-amzn-RequestId": call.request_id}
    if found is not None:
        status = int(found.status_code or status)
        context = _context(refused, call)
        if found.response_templates:
            media_type, template = next(iter(found.response_templates.items()))
            body = _CONTEXT.sub(lambda name: context.get(name[1], ""), template)
        headers |= _headers(found.response_parameters or {}, context, call.request)
    if body is None:
        body = json.dumps({"message": refused.message})
    return Response(body, status, headers, content_type=headers.pop("Content-Type", media_type))


def _context(refused: GatewayRefusal, call: ApiCall) -> dict[str, str]:
    return {
        "requestId": call.request_id,
        "extendedRequestId": call.request_id,
        "apiId": call.api.id,
        "stage": call.stage,
        "path": f"/{call.stage}{call.path}",
        "httpMethod": call.request.method,
        "identity.sourceIp": call.request.remote_addr or "",
        "error.message": refused.message,
        "error.messageString": json.dumps(refused.message),
        "error.responseType": refused.kind,
    }


def _headers(
    parameters: Mapping[str, str], context: Mapping[str, str], request: Request
) -> dict[str, str]:
    """Return the headers of a mapping, whose values are quoted texts or names of sources."""
    headers = {}
    for name, source in parameters.items():
        if source.startswith("'"):
            value: str | None = source.strip("'")
        elif source.startswith("context."):
            value = context.get(source.removeprefix("context."))
        else:
            value = request.headers.get(source.removeprefix("method.request.header."))
        if value is not None:
            headers[name.removeprefix(_HEADER)] = value
    return headers
