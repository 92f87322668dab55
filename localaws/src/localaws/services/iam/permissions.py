"""Permissions that requests need: the type that every service uses, and the needs of STS.

Each service has a function ``needs`` in its own ``permissions.py``. Source for all: "Actions,
resources, and condition keys for AWS services" in the Service Authorization Reference.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from localaws.request import AWSRequest
from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Need(NamedTuple):
    """An action on a resource that a policy must allow."""

    action: str
    resource: str


class UnknownNeeds(Exception):
    """It is not known which permissions a request needs."""


def json_parameters(environ: "WSGIEnvironment") -> Any:
    """Return the parameters of a request in JSON."""
    return json.loads(read_body(environ) or b"{}")


def needs_of_sts(request: AWSRequest, environ: "WSGIEnvironment") -> Iterable[Need]:
    """Return the needs of a request to STS.

    Raises:
        UnknownNeeds: the operation is not known here.
    """
    form = parse_qs(read_body(environ))
    if form.get(b"Action") == [b"GetCallerIdentity"] and not request.query:
        return []  # every caller may ask for its own identity
    raise UnknownNeeds(f"sts:{request.operation or request.path}")
