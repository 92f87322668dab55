"""Who calls what: the operation that a request asks for, by AWS's name for it."""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from botocore.loaders import Loader

from localaws.signatures import service_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_CALLER = re.compile(r"(?:^| )app/(\S+)")
_OF_SIGNATURES = re.compile(r"(?i)x-amz-.*|x-id|AWSAccessKeyId|Signature|Expires")
"""Parameters that any request to S3 may have."""


def caller_of(environ: "WSGIEnvironment") -> str:
    """Return the application id that the caller's SDK was given, or nothing."""
    found = _CALLER.search(environ.get("HTTP_USER_AGENT", ""))
    return found[1] if found else ""


def operation_of(environ: "WSGIEnvironment") -> str:
    """Return AWS's name of the operation that is called; nothing where it is not known."""
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if target:
        return target.rpartition(".")[2]
    return s3_operation(environ) if is_s3(environ) else _rest_operation(environ)


def is_s3(environ: "WSGIEnvironment") -> bool:
    """Say whether a request is for S3: it is signed for it, or not signed at all."""
    return "HTTP_X_AMZ_TARGET" not in environ and service_of(environ) in ("s3", "")


def s3_location(environ: "WSGIEnvironment") -> tuple[str, str]:
    """Return the bucket and the key that the path of a request names."""
    path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode(errors="replace")
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key


def query_of(environ: "WSGIEnvironment") -> dict[str, str]:
    """Return the parameters in a request's address."""
    return dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))


def s3_operation(environ: "WSGIEnvironment") -> str:
    """Return the operation of S3 that fits a request best, by S3's own service model."""
    method, query = environ["REQUEST_METHOD"], query_of(environ)
    bucket, key = s3_location(environ)
    given = {name for name in query if not _OF_SIGNATURES.fullmatch(name)}
    if method == "POST" and bucket and not key and not given:
        return "PostObject"  # a form, of which the model does not know
    level = bool(bucket) + bool(key)
    fitting = [
        operation
        for operation in _s3_operations().get((method, level), ())
        if operation.needs <= set(query)
        and all(header in environ for header in operation.headers)
        and given <= operation.parameters
    ]
    best = max(fitting, key=lambda o: len(o.needs) + len(o.headers), default=None)
    return best.name if best else ""


def _rest_operation(environ: "WSGIEnvironment") -> str:
    """Return the operation of a service whose requests are told by their paths."""
    service = service_of(environ)
    if service not in _REST_SERVICES:
        return ""
    path, query = environ.get("PATH_INFO", ""), query_of(environ)
    fitting = [
        (len(literals), name)
        for pattern, literals, name in _rest_operations(service, environ["REQUEST_METHOD"])
        if pattern.fullmatch(path) and literals.items() <= query.items()
    ]
    return max(fitting, default=(0, ""))[1]


_REST_SERVICES = ("apigateway", "lambda")


@cache
def _rest_operations(
    service: str, method: str
) -> list[tuple["re.Pattern[str]", dict[str, str], str]]:
    """Return the operations of an HTTP method: their paths, what their queries say, their names."""
    model: Any = Loader().load_service_model(service, "service-2")
    found = []
    for name, operation in model["operations"].items():
        path, _, query = operation["http"]["requestUri"].partition("?")
        if operation["http"]["method"] == method:
            parts = re.split(r"(\{[^}]+\})", path)
            patterns = ["[^/]+" if part.startswith("{") else re.escape(part) for part in parts]
            literals = dict(parse_qsl(query, keep_blank_values=True))
            found.append((re.compile("".join(patterns)), literals, name))
    return found


@dataclass(frozen=True)
class _Operation:
    name: str
    needs: frozenset[str]
    """Parameters without which it is another operation."""
    headers: frozenset[str]
    """The same of headers, by their names in WSGI."""
    parameters: frozenset[str]
    """All that it may have."""


@cache
def _s3_operations() -> dict[tuple[str, int], list[_Operation]]:
    """Return what S3 can do, by HTTP method and by what the path names.

    That is 0 for all buckets, 1 for a bucket, 2 for an object.
    """
    model: Any = Loader().load_service_model("s3", "service-2")
    found: dict[tuple[str, int], list[_Operation]] = {}
    for name, operation in model["operations"].items():
        if operation.get("deprecated"):  # there is another of the same requests
            continue
        shape = model["shapes"].get(operation.get("input", {}).get("shape"), {})
        members = shape.get("members", {})
        required = [members[member] for member in shape.get("required", ())]
        path, _, literal = operation["http"]["requestUri"].partition("?")
        literals = dict(parse_qsl(literal, keep_blank_values=True))
        in_query = {m["locationName"] for m in members.values() if _is_in(m, "querystring")}
        level = ("{Bucket}" in path) + ("{Key+}" in path)
        found.setdefault((operation["http"]["method"], level), []).append(
            _Operation(
                name,
                frozenset(literals).union(
                    m["locationName"] for m in required if _is_in(m, "querystring")
                ),
                frozenset(
                    "HTTP_" + m["locationName"].upper().replace("-", "_")
                    for m in required
                    if _is_in(m, "header")
                ),
                frozenset(literals) | in_query,
            )
        )
    return found


def _is_in(member: Any, location: str) -> bool:
    return bool(member.get("location") == location)
