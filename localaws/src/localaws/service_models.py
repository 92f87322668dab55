"""The names of operations whose requests are recognised by method, path and query.

The rules come from the service models that botocore carries.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

from botocore.loaders import Loader

REST_SERVICES: Final = ("apigateway", "lambda")

_ON_ANY_REQUEST: Final = re.compile(r"(?i)x-amz-.*|x-id|AWSAccessKeyId|Signature|Expires")
"""Query parameters that every request to S3 may have."""


@dataclass(frozen=True)
class _S3Operation:
    name: str
    required_parameters: frozenset[str]
    required_headers: frozenset[str]
    """By their names in WSGI."""
    parameters: frozenset[str]
    """All query parameters of the operation."""


def s3_operation(
    method: str, bucket: str, key: str, query: Mapping[str, str], headers: Container[str]
) -> str:
    """Return the operation of S3 that fits a request best; an empty string if none fits.

    Args:
        method: of HTTP.
        bucket: empty for requests about all buckets.
        key: empty for requests about a bucket.
        query: the parameters in the address.
        headers: the names of the request's headers in WSGI.
    """
    given = {name for name in query if not _ON_ANY_REQUEST.fullmatch(name)}
    if method == "POST" and bucket and not key and not given:
        return "PostObject"  # a browser's form, which the service model lacks
    level = bool(bucket) + bool(key)
    fitting = [
        operation
        for operation in _s3_operations().get((method, level), ())
        if operation.required_parameters <= set(query)
        and all(header in headers for header in operation.required_headers)
        and given <= operation.parameters
    ]
    best = max(
        fitting,
        key=lambda o: len(o.required_parameters) + len(o.required_headers),
        default=None,
    )
    return best.name if best else ""


def rest_operation(service: str, method: str, path: str, query: Mapping[str, str]) -> str:
    """Return the operation of one of ``REST_SERVICES``; an empty string if none fits."""
    fitting = [
        (len(literals), name)
        for pattern, literals, name in _rest_operations(service, method)
        if pattern.fullmatch(path) and literals.items() <= query.items()
    ]
    return max(fitting, default=(0, ""))[1]


@cache
def _rest_operations(
    service: str, method: str
) -> list[tuple["re.Pattern[str]", dict[str, str], str]]:
    """Return pattern of the path, literal query parameters and name of a method's operations."""
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


@cache
def _s3_operations() -> dict[tuple[str, int], list[_S3Operation]]:
    """Return the operations of S3 by HTTP method and by level of the path.

    Level 0 is all buckets, 1 a bucket, 2 an object.
    """
    model: Any = Loader().load_service_model("s3", "service-2")
    found: dict[tuple[str, int], list[_S3Operation]] = {}
    for name, operation in model["operations"].items():
        if operation.get("deprecated"):  # another operation has the same requests
            continue
        shape = model["shapes"].get(operation.get("input", {}).get("shape"), {})
        members = shape.get("members", {})
        required = [members[member] for member in shape.get("required", ())]
        path, _, literal = operation["http"]["requestUri"].partition("?")
        literals = dict(parse_qsl(literal, keep_blank_values=True))
        level = ("{Bucket}" in path) + ("{Key+}" in path)
        found.setdefault((operation["http"]["method"], level), []).append(
            _S3Operation(
                name,
                frozenset(literals).union(_names(required, "querystring")),
                frozenset(
                    "HTTP_" + header.upper().replace("-", "_")
                    for header in _names(required, "header")
                ),
                frozenset(literals).union(_names(members.values(), "querystring")),
            )
        )
    return found


def _names(members: Any, location: str) -> list[str]:
    return [m["locationName"] for m in members if m.get("location") == location]
