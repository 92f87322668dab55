"""Names of notification filters: AWS takes them in any case, moto compares them in lower case."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from localaws.request import request_of
from localaws.wsgi import read_body, replace_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_FILTER_NAME = re.compile(rb"<Name>(Prefix|Suffix)</Name>")


def lower_filter_names(
    environ: "WSGIEnvironment", start_response: "StartResponse", inner: "WSGIApplication"
) -> Iterable[bytes]:
    """Layer that rewrites a bucket's notification configuration for moto."""
    request = request_of(environ)
    if request.method == "PUT" and request.query.get("notification") == "":
        body = read_body(environ)
        lower = _FILTER_NAME.sub(lambda match: match[0].replace(match[1], match[1].lower()), body)
        replace_body(environ, lower)
    return inner(environ, start_response)
