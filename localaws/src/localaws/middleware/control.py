"""How the embedded AWS is made to behave badly from outside: over HTTP, below ``/_localaws/``.

And how it is asked what AWS would not tell: what roles have needed, and when all is quiet.
"""

from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta
from werkzeug.wrappers import Request, Response

from localaws.middleware.faults import Fault, Faults
from localaws.middleware.permissions.gate import Permissions
from localaws.services.lambda_.asynchronous import Disorder, Functions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FAULTS = "/_localaws/faults"
EVENTS = "/_localaws/events"
PERMISSIONS = "/_localaws/permissions"
QUIET = "/_localaws/quiet"


class _Events(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Body of ``PUT /_localaws/events``."""

    duplicates: Annotated[float, Meta(ge=0, le=1)] = 0.0
    most_delay: Annotated[float, Meta(ge=0)] = 0.0
    seed: int | None = None


class Control:
    """WSGI middleware that scripts faults and brings events in disorder.

    ``POST /_localaws/faults`` takes a list of :class:`Fault`, ``DELETE`` ends them, ``GET`` shows
    them; ``PUT /_localaws/events`` says how events are brought, for example
    ``{"duplicates": 0.2, "mostDelay": 3}``, and ``{}`` brings them once and at once again.
    ``GET /_localaws/permissions`` shows which actions on which resources roles have needed;
    ``GET /_localaws/quiet`` answers when no event is left and all logs are written.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        faults: Faults,
        functions: Functions,
        permissions: Permissions,
    ) -> None:
        """Take what answers all other requests, and what is controlled."""
        self._app = app
        self._faults = faults
        self._functions = functions
        self._permissions = permissions

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request for control; pass on all others."""
        answers = {
            FAULTS: self._on_faults,
            EVENTS: self._on_events,
            PERMISSIONS: self._on_permissions,
            QUIET: self._on_quiet,
        }
        answer_to = answers.get(environ.get("PATH_INFO", ""))
        if answer_to is None:
            return self._app(environ, start_response)
        request = Request(environ)
        try:
            answer = answer_to(request)
            response = Response(msgspec.json.encode(answer), content_type="application/json")
        except msgspec.DecodeError as error:
            response = Response(f"{error}\n", 400)
        return response(environ, start_response)

    def _on_faults(self, request: Request) -> Any:
        if request.method == "DELETE":
            self._faults.clear()
        elif request.method == "POST":
            self._faults.script(*msgspec.json.decode(request.get_data(), type=list[Fault]))
        return {"scripted": self._faults.scripted, "met": self._faults.met}

    def _on_events(self, request: Request) -> Any:
        if request.method == "PUT":
            asked = msgspec.json.decode(request.get_data() or b"{}", type=_Events)
            generator = Random(asked.seed)  # noqa: S311 - chance, not a secret
            self._functions.disorder = Disorder(asked.duplicates, asked.most_delay, generator)
        disorder = self._functions.disorder
        return {"duplicates": disorder.duplicates, "mostDelay": disorder.most_delay}

    def _on_permissions(self, request: Request) -> Any:
        return [asked._asdict() for asked in sorted(set(self._permissions.asked))]

    def _on_quiet(self, request: Request) -> Any:
        self._functions.drain()
        if self._functions.deployed is not None:
            self._functions.deployed.logs.drain()
        return {}
