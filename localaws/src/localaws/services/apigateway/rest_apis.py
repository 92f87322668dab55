"""The stages of deployed REST APIs, below ``/restapis/<id>/<stage>/_user_request_/``."""

import json
import logging
import re
import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

import moto.backends
from moto.apigateway.models import Integration, Method, Resource, RestAPI
from werkzeug.wrappers import Request, Response

from localaws.account import ACCOUNT_ID, REGION
from localaws.bodies import BodyRefused, Reason, read_whole
from localaws.request import request_of
from localaws.services.apigateway import proxy
from localaws.services.apigateway.authorization import authorize
from localaws.services.apigateway.responses import ApiCall, GatewayRefusal, gateway_response
from localaws.services.apigateway.usage import Usage
from localaws.services.iam.identities import Identities
from localaws.services.lambda_.deployed import DeployedFunctions
from localaws.services.lambda_.errors import FunctionError, TooManyRequests

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

TIMEOUT = 29.0
"""Seconds that API Gateway waits for a function."""
MOST_BYTES = 10 * 1024 * 1024
"""The most bytes of a request."""
MOST_EVENT_BYTES = 6 * 1024 * 1024
"""The most bytes of the event for a function."""

_PATH = re.compile(r"/restapis/([^/]+)/([^/]+)/_user_request_(/.*)?", re.DOTALL)
_FUNCTION = re.compile(r".*:function:([^:/]+)(?::[^/]+)?/invocations")
_ANY_METHOD = ("ANY", "X-AMAZON-APIGATEWAY-ANY-METHOD")


class RestApis:
    """Layer that answers requests to the stages of the REST APIs in moto."""

    def __init__(self, functions: DeployedFunctions, identities: Identities) -> None:
        self._functions = functions
        self._identities = identities
        self._usage = Usage()

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Answer a request to a stage; pass on all others."""
        path = _PATH.fullmatch(request_of(environ).path)
        if path is None:
            return inner(environ, start_response)
        request = Request(environ)
        api = moto.backends.get_backend("apigateway")[ACCOUNT_ID][REGION].apis.get(path[1])
        if api is None or path[2] not in api.stages:
            answer = Response('{"message":"Forbidden"}', 403, content_type="application/json")
            return answer(environ, start_response)
        called = request.path.partition("/_user_request_")[2]
        call = ApiCall(api, path[2], called or "/", request, b"", str(uuid.uuid4()))
        try:
            response = self._answer(replace(call, body=_body(environ)))
        except GatewayRefusal as refused:
            response = gateway_response(refused, call)
        return response(environ, start_response)

    def _answer(self, call: ApiCall) -> Response:
        resource, parameters = _resource(call.api, call.path)
        method = _method(resource, call.request.method)
        caller = authorize(call, method, self._identities)
        key = self._usage.check(call) if method.api_key_required else {}
        call = replace(call, identity={**caller.identity, **key}, claims=caller.claims)
        integration = method.method_integration
        kind = (integration.integration_type or "").upper() if integration else ""
        if integration is not None and kind == "MOCK":
            return _mock(call, integration)
        function = _FUNCTION.fullmatch(integration.uri or "") if integration else None
        if kind != "AWS_PROXY" or function is None:
            raise GatewayRefusal("API_CONFIGURATION_ERROR")
        event = proxy.event(call, resource.id, resource.get_path(), parameters)
        return proxy.response(call, self._invoke(call, function[1], event))

    def _invoke(self, call: ApiCall, function: str, event: object) -> bytes:
        if not self._functions.may_invoke(function, "apigateway.amazonaws.com", call.arn):
            logger.warning("the API %s may not invoke %s", call.api.name, function)
            raise GatewayRefusal("API_CONFIGURATION_ERROR")
        payload = json.dumps(event).encode()
        if len(payload) > MOST_EVENT_BYTES:
            raise GatewayRefusal("REQUEST_TOO_LARGE")
        running = _in_background(self._functions, function, payload)
        try:
            return running.result(TIMEOUT)
        except TimeoutError:
            raise GatewayRefusal("INTEGRATION_TIMEOUT") from None
        except (FunctionError, TooManyRequests) as error:
            raise GatewayRefusal("DEFAULT_5XX") from error
        except Exception as error:
            logger.exception("%s could not be run", function)
            raise GatewayRefusal("DEFAULT_5XX") from error


def _body(environ: "WSGIEnvironment") -> bytes:
    """Return the body of a request.

    Raises:
        GatewayRefusal: it is too large, or cannot be read.
    """
    try:
        return read_whole(environ, MOST_BYTES)
    except BodyRefused as refused:
        if refused.reason is Reason.TOO_LARGE:
            raise GatewayRefusal("REQUEST_TOO_LARGE") from None
        if refused.reason is Reason.NO_ROOM:
            raise GatewayRefusal("THROTTLED") from None
        raise GatewayRefusal("BAD_REQUEST_BODY", str(refused)) from None


def is_for_a_stage(path: str) -> bool:
    """Return whether a path is below the address of a deployed stage."""
    return _PATH.fullmatch(path) is not None


def _in_background(functions: DeployedFunctions, name: str, payload: bytes) -> "Future[bytes]":
    """Run a function in a thread of its own, where it continues after API Gateway's timeout."""
    future: Future[bytes] = Future()

    def run() -> None:
        try:
            future.set_result(functions.run(name, payload, str(uuid.uuid4())))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, name="api-gateway", daemon=True).start()
    return future


def _resource(api: RestAPI, path: str) -> tuple[Resource, dict[str, str]]:
    """Return the most specific resource for a path, and the values of its parameters.

    Raises:
        GatewayRefusal: no resource fits.
    """
    parts = [part for part in path.strip("/").split("/") if part]
    found: list[tuple[list[int], Resource, dict[str, str]]] = []
    for resource in list(api.resources.values()):
        names = [name for name in resource.get_path().strip("/").split("/") if name]
        matched = _match(names, parts)
        if matched is not None and resource.resource_methods:
            # A literal part is more specific than a parameter, which is more than a greedy one.
            vagueness = [2 if n.endswith("+}") else int(n[0] == "{") for n in names]
            found.append((vagueness, resource, matched))
    if not found:
        raise GatewayRefusal("MISSING_AUTHENTICATION_TOKEN")
    _, resource, parameters = min(found, key=lambda match: match[0])
    return resource, parameters


def _match(names: list[str], parts: list[str]) -> dict[str, str] | None:
    """Return the parameters of a resource's path in a request's path; None if it does not fit."""
    parameters: dict[str, str] = {}
    for number, name in enumerate(names):
        if number >= len(parts):
            return None
        if name.endswith("+}"):
            return {**parameters, name[1:-2]: "/".join(parts[number:])}
        if name[0] == "{":
            parameters[name[1:-1]] = parts[number]
        elif name != parts[number]:
            return None
    return parameters if len(names) == len(parts) else None


def _method(resource: Resource, name: str) -> Method:
    for candidate in (name, *_ANY_METHOD):
        method = resource.resource_methods.get(candidate)
        if method is not None:
            return method
    raise GatewayRefusal("MISSING_AUTHENTICATION_TOKEN")


def _mock(call: ApiCall, integration: Integration) -> Response:
    """Return the answer that the API's definition gives, without any function."""
    template = (integration.request_templates or {}).get("application/json", "{}")
    try:
        status = str(json.loads(template)["statusCode"])
        answer = (integration.integration_responses or {})[status]
    except (ValueError, KeyError, TypeError):
        raise GatewayRefusal("API_CONFIGURATION_ERROR") from None
    headers = {"x-amzn-RequestId": call.request_id}
    for target, source in (answer.response_parameters or {}).items():
        headers[target.removeprefix("method.response.header.")] = source.strip("'")
    body = (answer.response_templates or {}).get("application/json", "")
    return Response(body, int(status), headers, content_type="application/json")
