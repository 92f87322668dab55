"""The control API of the embedded AWS, over HTTP below ``/_localaws/``.

It scripts faults, disturbs the delivery of events, and tells two things that AWS does not: which
permissions roles have used, and when all events are handled. Its requests are signed like those to
AWS, for any service and by a key without limits.
"""

from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta
from werkzeug.wrappers import Request, Response

from localaws.middleware.faults import Fault, Faults
from localaws.middleware.permissions import Permissions
from localaws.rekognition.faces import Lag
from localaws.request import request_of
from localaws.services.iam.identities import Identities
from localaws.services.lambda_.event_queue import Disorder
from localaws.services.lambda_.functions import Functions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONTROL = "/_localaws/"
FAULTS = f"{CONTROL}faults"
EVENTS = f"{CONTROL}events"
LAG = f"{CONTROL}lag"
PERMISSIONS = f"{CONTROL}permissions"
QUIET = f"{CONTROL}quiet"


class _Events(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Body of ``PUT /_localaws/events``."""

    duplicates: Annotated[float, Meta(ge=0, le=1)] = 0.0
    most_delay: Annotated[float, Meta(ge=0)] = 0.0
    seed: int | None = None


class _Lag(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``PUT /_localaws/lag``."""

    seconds: Annotated[float, Meta(ge=0)] = 0.0


class Control:
    """Layer that answers the control API.

    ``POST /_localaws/faults`` scripts a list of :class:`Fault`, ``DELETE`` removes all faults,
    ``GET`` shows them. ``PUT /_localaws/events`` sets how events are delivered, for example
    ``{"duplicates": 0.2, "mostDelay": 3}``; ``{}`` restores one delivery without delay.
    ``PUT /_localaws/lag`` sets how long Rekognition hides new faces, for example
    ``{"seconds": 5}``.
    ``GET /_localaws/permissions`` shows the actions and resources that roles have used.
    ``GET /_localaws/quiet`` answers when all events are handled and all logs are written.
    """

    def __init__(
        self,
        faults: Faults,
        functions: Functions,
        permissions: Permissions,
        identities: Identities,
        lag: Lag,
    ) -> None:
        self._lag = lag
        self._identities = identities
        self._faults = faults
        self._functions = functions
        self._permissions = permissions
        self._routes = {
            FAULTS: self._on_faults,
            EVENTS: self._on_events,
            LAG: self._on_lag,
            PERMISSIONS: self._on_permissions,
            QUIET: self._on_quiet,
        }

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Answer a request of the control API; pass on all others."""
        path = environ.get("PATH_INFO", "")
        if not path.startswith(CONTROL):
            return inner(environ, start_response)
        if self._is_restricted(environ):
            refused = Response("The session of a role may not use the control API.\n", 403)
            return refused(environ, start_response)
        answer_to = self._routes.get(path)
        if answer_to is None:
            return Response("The control API has no such address.\n", 404)(environ, start_response)
        request = Request(environ)
        try:
            answer = answer_to(request)
            response = Response(msgspec.json.encode(answer), content_type="application/json")
        except (msgspec.DecodeError, RecursionError) as error:
            response = Response(f"{error}\n", 400)
        return response(environ, start_response)

    def _is_restricted(self, environ: "WSGIEnvironment") -> bool:
        key = request_of(environ).access_key_id
        principal = self._identities.principal_of(key) if key else None
        return principal is not None and principal.documents is not None

    def _on_faults(self, request: Request) -> Any:
        if request.method == "DELETE":
            self._faults.clear()
        elif request.method == "POST":
            self._faults.script(*msgspec.json.decode(request.get_data(), type=list[Fault]))
        return {"scripted": self._faults.scripted, "met": self._faults.met}

    def _on_events(self, request: Request) -> Any:
        if request.method == "PUT":
            wanted = msgspec.json.decode(request.get_data() or b"{}", type=_Events)
            generator = Random(wanted.seed)  # noqa: S311 - chance, not a secret
            self._functions.disorder = Disorder(wanted.duplicates, wanted.most_delay, generator)
        disorder = self._functions.disorder
        return {"duplicates": disorder.duplicates, "mostDelay": disorder.most_delay}

    def _on_lag(self, request: Request) -> Any:
        if request.method == "PUT":
            wanted = msgspec.json.decode(request.get_data() or b"{}", type=_Lag)
            self._lag.seconds = wanted.seconds
        return {"seconds": self._lag.seconds}

    def _on_permissions(self, request: Request) -> Any:
        return [check._asdict() for check in sorted(set(self._permissions.asked))]

    def _on_quiet(self, request: Request) -> Any:
        self._functions.drain()
        if self._functions.deployed is not None:
            self._functions.deployed.logs.drain()
        return {}
