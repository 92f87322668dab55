"""Deployed REST APIs: requests below ``/restapis/<id>/<stage>/_user_request_/``, answered."""

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
from localaws.services.apigateway import proxy
from localaws.services.apigateway.authorization import Authorization
from localaws.services.apigateway.responses import Call, Refused, response_to
from localaws.services.apigateway.usage import Usage
from localaws.services.lambda_ import DeployedFunctions, FunctionError, TooManyRequests
from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

TIMEOUT = 29.0
"""Seconds for which API Gateway waits for a function."""
MOST_BYTES = 10 * 1024 * 1024
"""Of a request."""
MOST_EVENT_BYTES = 6 * 1024 * 1024
"""Of the event that a function is invoked with."""

_PATH = re.compile(r"/restapis/([^/]+)/([^/]+)/_user_request_(/.*)?")
_FUNCTION = re.compile(r".*:function:([^:/]+)(?::[^/]+)?/invocations")
_ANY_METHOD = ("ANY", "X-AMAZON-APIGATEWAY-ANY-METHOD")


class RestApis:
    """WSGI middleware that serves the stages of REST APIs which moto holds."""

    def __init__(
        self, app: "WSGIApplication", functions: DeployedFunctions, authorization: Authorization
    ) -> None:
        """Take what answers all other requests, what runs functions, and who may call."""
        self._app = app
        self._functions = functions
        self._authorization = authorization
        self._usage = Usage()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request to a stage; pass on all others."""
        request = Request(environ)
        path = _PATH.fullmatch(request.path)
        if path is None:
            return self._app(environ, start_response)
        size = int(environ.get("CONTENT_LENGTH") or 0)
        # So much is not read at all; the connection ends with the answer.
        body = read_body(environ) if size <= MOST_BYTES else b""
        size = max(size, len(body))
        api = moto.backends.get_backend("apigateway")[ACCOUNT_ID][REGION].apis.get(path[1])
        if api is None or path[2] not in api.stages:
            answer = Response('{"message":"Forbidden"}', 403, content_type="application/json")
            return answer(environ, start_response)
        call = Call(api, path[2], path[3] or "/", request, body, str(uuid.uuid4()))
        try:
            if size > MOST_BYTES:
                raise Refused("REQUEST_TOO_LARGE")
            response = self._answer(call)
        except Refused as refused:
            response = response_to(refused, call)
        if size > MOST_BYTES:
            response.headers["Connection"] = "close"
        return response(environ, start_response)

    def _answer(self, call: Call) -> Response:
        resource, parameters = _resource(call.api, call.path)
        method = _method(resource, call.request.method)
        caller = self._authorization.check(call, method)
        key = self._usage.check(call) if method.api_key_required else {}
        call = replace(call, identity={**caller.identity, **key}, claims=caller.claims)
        integration = method.method_integration
        kind = (integration.integration_type or "").upper() if integration else ""
        if integration is not None and kind == "MOCK":
            return _mock(call, integration)
        function = _FUNCTION.fullmatch(integration.uri or "") if integration else None
        if kind != "AWS_PROXY" or function is None:
            raise Refused("API_CONFIGURATION_ERROR")
        event = proxy.event(call, resource.id, resource.get_path(), parameters)
        return proxy.response(call, self._invoke(call, function[1], event))

    def _invoke(self, call: Call, function: str, event: object) -> bytes:
        source = f"{call.api.id}/{call.stage}/{call.request.method}{call.path}"
        source_arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{source}"
        if not self._functions.may_invoke(function, "apigateway.amazonaws.com", source_arn):
            logger.warning("the API %s may not invoke %s", call.api.name, function)
            raise Refused("API_CONFIGURATION_ERROR")
        payload = json.dumps(event).encode()
        if len(payload) > MOST_EVENT_BYTES:
            raise Refused("REQUEST_TOO_LARGE")
        running = _in_background(self._functions, function, payload)
        try:
            return running.result(TIMEOUT)
        except TimeoutError:
            raise Refused("INTEGRATION_TIMEOUT") from None
        except (FunctionError, TooManyRequests) as error:
            raise Refused("DEFAULT_5XX") from error
        except Exception as error:
            logger.exception("%s could not be run", function)
            raise Refused("DEFAULT_5XX") from error


def _in_background(functions: DeployedFunctions, name: str, payload: bytes) -> "Future[bytes]":
    """Run a function in a thread of its own: it goes on when nobody waits for it any more."""
    future: Future[bytes] = Future()

    def run() -> None:
        try:
            future.set_result(functions.run(name, payload, str(uuid.uuid4())))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, name="api-gateway", daemon=True).start()
    return future


def _resource(api: RestAPI, path: str) -> tuple[Resource, dict[str, str]]:
    """Find the resource for a path: what is written out goes before what stands for anything.

    Raises:
        Refused: there is none.
    """
    parts = [part for part in path.strip("/").split("/") if part]
    found: list[tuple[list[int], Resource, dict[str, str]]] = []
    for resource in list(api.resources.values()):
        names = [name for name in resource.get_path().strip("/").split("/") if name]
        matched = _match(names, parts)
        if matched is not None and resource.resource_methods:
            vagueness = [2 if n.endswith("+}") else int(n[0] == "{") for n in names]
            found.append((vagueness, resource, matched))
    if not found:
        raise Refused("MISSING_AUTHENTICATION_TOKEN")
    _, resource, parameters = min(found, key=lambda match: match[0])
    return resource, parameters


def _match(names: list[str], parts: list[str]) -> dict[str, str] | None:
    """Compare the parts of a resource's path with those of a request; the parameters if it fits."""
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
    raise Refused("MISSING_AUTHENTICATION_TOKEN")


def _mock(call: Call, integration: Integration) -> Response:
    """Answer without any function, as the API's definition says."""
    template = (integration.request_templates or {}).get("application/json", "{}")
    try:
        status = str(json.loads(template)["statusCode"])
        answer = (integration.integration_responses or {})[status]
    except (ValueError, KeyError, TypeError):
        raise Refused("API_CONFIGURATION_ERROR") from None
    headers = {"x-amzn-RequestId": call.request_id}
    for target, source in (answer.response_parameters or {}).items():
        headers[target.removeprefix("method.response.header.")] = source.strip("'")
    body = (answer.response_templates or {}).get("application/json", "")
    return Response(body, int(status), headers, content_type="application/json")
