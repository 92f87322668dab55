"""How the embedded AWS is made to behave badly from outside: over HTTP, below ``/_localaws/``."""

from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta
from werkzeug.wrappers import Request, Response

from localaws.faults import Fault, Faults
from localaws.functions import Disorder, Functions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FAULTS = "/_localaws/faults"
EVENTS = "/_localaws/events"


class _Events(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Body of ``PUT /_localaws/events``."""

    duplicates: Annotated[float, Meta(ge=0, le=1)] = 0.0
    most_delay: Annotated[float, Meta(ge=0)] = 0.0
    seed: int | None = None


class Control:
    """WSGI middleware that scripts faults and brings events in disorder.

    ``POST /_localaws/faults`` takes a list of :class:`localaws.faults.Fault`, ``DELETE`` ends
    them, ``GET`` shows them; ``PUT /_localaws/events`` says how events are brought, for example
    ``{"duplicates": 0.2, "mostDelay": 3}``, and ``{}`` brings them once and at once again.
    """

    def __init__(self, app: "WSGIApplication", faults: Faults, functions: Functions) -> None:
        """Take what answers all other requests, and what is controlled."""
        self._app = app
        self._faults = faults
        self._functions = functions

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request for control; pass on all others."""
        path = environ.get("PATH_INFO")
        if path not in (FAULTS, EVENTS):
            return self._app(environ, start_response)
        request = Request(environ)
        try:
            answer = self._on_faults(request) if path == FAULTS else self._on_events(request)
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
