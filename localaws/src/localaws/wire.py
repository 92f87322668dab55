"""What Chalice sends to AWS and moto does not take: evened out on the way, or added after it."""

import io
import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import moto.backends
from werkzeug.test import run_wsgi_app

from localaws.account import ACCOUNT_ID, REGION
from localaws.services.apigateway.imports import complete
from localaws.signatures import service_of
from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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
            return self._import(environ, start_response)
        return self._app(environ, start_response)

    def _import(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Let moto import an API, then add what it has left out."""
        document = _document(read_body(environ))
        if document is None:
            return self._app(environ, start_response)
        _rewrite(environ, _as_openapi_3)
        body, status, headers = run_wsgi_app(self._app, environ, buffered=True)
        answer = b"".join(body)
        if status.startswith("2"):
            backend = moto.backends.get_backend("apigateway")[ACCOUNT_ID][REGION]
            api = backend.get_rest_api(json.loads(answer)["id"])
            overwrites = "mode=overwrite" in environ.get("QUERY_STRING", "").split("&")
            complete(api, document, overwrites=overwrites)
        start_response(status, list(headers))
        return [answer]


def _rewrite(environ: "WSGIEnvironment", change: Callable[[bytes], bytes]) -> None:
    body = change(read_body(environ))
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


def _lower_filter_names(body: bytes) -> bytes:
    """Write the rules of a notification filter in lower case, the only one moto compares."""
    return _FILTER_NAME.sub(lambda match: match[0].replace(match[1], match[1].lower()), body)


def _document(body: bytes) -> Any:
    """Read the definition of an API; None for what is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) and "paths" in document else None


def _as_openapi_3(body: bytes) -> bytes:
    """Turn an imported Swagger 2.0 API into the OpenAPI 3 that moto accepts."""
    api: Any = json.loads(body)
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
