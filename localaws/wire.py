"""What Chalice sends to AWS and moto does not take: evened out on the way."""

import io
import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SERVICE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")
_REST_API = re.compile(r"/restapis(/[^/]+)?")
_FILTER_NAME = re.compile(rb"<Name>(Prefix|Suffix)</Name>")


class WireDifferences:
    """WSGI middleware that rewrites the requests which AWS understands and moto does not."""

    def __init__(self, app: "WSGIApplication") -> None:
        """Take moto's application."""
        self._app = app

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Pass a request on, rewritten where needed."""
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        query = environ.get("QUERY_STRING", "").split("&")
        if method == "PUT" and ("notification" in query or "notification=" in query):
            _rewrite(environ, _lower_filter_names)
        elif (
            method in ("POST", "PUT")
            and _REST_API.fullmatch(path)
            and service_of(environ) == "apigateway"
        ):
            _rewrite(environ, _as_openapi_3)
        return self._app(environ, start_response)


def service_of(environ: "WSGIEnvironment") -> str:
    """Return the service for which a request is signed, as it is named in signatures."""
    signed = _SERVICE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return signed[1] if signed else ""


def _rewrite(environ: "WSGIEnvironment", change: Callable[[bytes], bytes]) -> None:
    body = change(read_body(environ))
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


def _lower_filter_names(body: bytes) -> bytes:
    """Write the rules of a notification filter in lower case, the only one moto compares."""
    return _FILTER_NAME.sub(lambda match: match[0].replace(match[1], match[1].lower()), body)


def _as_openapi_3(body: bytes) -> bytes:
    """Turn an imported Swagger 2.0 API into the OpenAPI 3 that moto accepts."""
    try:
        api: Any = json.loads(body)
    except ValueError:
        return body
    if not isinstance(api, dict) or "paths" not in api:
        return body
    api.setdefault("info", {}).setdefault("description", "")
    if api.pop("swagger", None):
        api["openapi"] = "3.0.1"
    for path in api["paths"].values():
        for operation in path.values():
            integration = operation.get("x-amazon-apigateway-integration", {})
            if integration.get("type", "").lower() == "mock":  # moto asks for a target here too
                integration.setdefault("uri", "")
                integration.setdefault("httpMethod", "")
    return json.dumps(api).encode()
