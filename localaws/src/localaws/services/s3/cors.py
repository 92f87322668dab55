"""S3's answers to web pages of other origins, by the CORS rules of the bucket.

moto answers preflights, but adds nothing to the answers of uploads by form.
Source: "Using cross-origin resource sharing (CORS)" in the Amazon S3 User Guide.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import moto.backends
from werkzeug.wrappers import Response

from localaws.account import ACCOUNT_ID
from localaws.refusals import RequestRefused, error_response
from localaws.request import request_of
from localaws.services.apigateway.rest_apis import is_for_a_stage

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PREFIX: Final = "access-control-"


def answer_pages(
    environ: "WSGIEnvironment", start_response: "StartResponse", inner: "WSGIApplication"
) -> Iterable[bytes]:
    """Layer that answers preflights to S3, and lets pages read S3's answers.

    The guard of the port has refused pages of origins that may not use it.
    """
    request = request_of(environ)
    origin = environ.get("HTTP_ORIGIN")
    if origin is None or not request.bucket or is_for_a_stage(request.path):
        return inner(environ, start_response)
    is_preflight = request.method == "OPTIONS"
    method, names = request.method, []
    if is_preflight:
        method = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD", "")
        names = _list(environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", ""))
    allowed = _headers(request.bucket, origin, method, names)
    if is_preflight and not allowed:
        message = "CORSResponse: This CORS request is not allowed by the rules of the bucket."
        refused = RequestRefused("AccessForbidden", message, 403)
        return error_response(request, refused)(environ, start_response)
    if is_preflight:
        return Response(headers=allowed)(environ, start_response)

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], Any]:
        own = [header for header in headers if not header[0].lower().startswith(_PREFIX)]
        return start_response(status, [*own, *allowed.items()], *rest)

    return inner(environ, start if allowed else start_response)


def _headers(bucket: str, origin: str, method: str, names: list[str]) -> Mapping[str, str]:
    """Return the headers of the first rule that allows a request; none if no rule does.

    Args:
        bucket: its name; it need not exist.
        origin: of the page.
        method: of the request.
        names: the headers that the page wants to send, in lower case.
    """
    found = moto.backends.get_backend("s3")[ACCOUNT_ID]["aws"].buckets.get(bucket)
    for rule in found.cors if found else ():
        if (
            method in _list(rule.allowed_methods, lower=False)
            and _any(rule.allowed_origins, origin)
            and all(_any(rule.allowed_headers, name) for name in names)
        ):
            headers = {
                "Access-Control-Allow-Origin": "*" if "*" in rule.allowed_origins else origin,
                "Access-Control-Allow-Methods": ", ".join(_list(rule.allowed_methods, lower=False)),
                "Access-Control-Allow-Headers": ", ".join(names),
                "Access-Control-Expose-Headers": ", ".join(_list(rule.exposed_headers)),
                "Access-Control-Max-Age": str(rule.max_age_seconds or ""),
                "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
            }
            return {name: value for name, value in headers.items() if value}
    return {}


def _list(value: Any, *, lower: bool = True) -> list[str]:
    """Return the items of a list, which moto may have as a text with commas."""
    items = value.split(",") if isinstance(value, str) else value or []
    stripped = [item.strip() for item in items if item.strip()]
    return [item.lower() for item in stripped] if lower else stripped


def _any(patterns: Any, value: str) -> bool:
    """Return whether a value matches one of the patterns, in which ``*`` stands for any text."""
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), value, re.IGNORECASE)
        for pattern in _list(patterns, lower=False)
    )
