r"""Faults on purpose: what AWS does on its bad days, scripted by operation and number of the call.

From a test in the same process, or the same over HTTP (see :mod:`localaws.middleware.control`)::

    aws.faults.script(Fault("IndexFaces", "error after", caller="worker"))

    curl -d '[{"operation": "IndexFaces", "kind": "throttle", "rate": 5, "times": 0}]' \
        http://127.0.0.1:4566/_localaws/faults
    curl -X DELETE http://127.0.0.1:4566/_localaws/faults
"""

import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Literal
from xml.sax.saxutils import escape

import msgspec
from msgspec import Meta
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response

from localaws.operations import caller_of, is_s3, operation_of
from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MOST_CALLS_KEPT = 10_000

Kind = Literal[
    "error before", "error after", "throttle", "delay", "hang", "crash before", "crash after"
]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that goes wrong with calls of one operation."""

    operation: str
    """AWS's name of it, such as ``IndexFaces`` or ``PutObject``; ``*`` is any."""
    kind: Kind
    """``before``: nothing happened; ``after``: it happened, but the caller does not hear of it.

    ``throttle`` refuses, with a ``rate`` only what comes faster; ``delay`` answers ``seconds``
    later; ``hang`` does not answer for ``seconds`` and then hangs up; ``crash`` kills the process
    of the function that called, or hangs up on any other caller.
    """
    call: Annotated[int, Meta(ge=1)] = 1
    """With which matching call it begins, counted from when it was scripted."""
    times: Annotated[int, Meta(ge=0)] = 1
    """How many calls it meets; 0 is all that follow."""
    every: Annotated[int, Meta(ge=1)] = 1
    """It meets only one call in so many."""
    caller: str = ""
    """It meets only callers whose SDK is given an application id that begins so."""
    code: str = "InternalServerError"
    status: Annotated[int, Meta(ge=400, le=599)] = 500
    message: str = "A scripted fault."
    seconds: Annotated[float, Meta(ge=0)] = 60.0
    rate: Annotated[float, Meta(ge=0)] = 0.0
    """Calls per second that are not throttled; then ``call``, ``times`` and ``every`` are idle."""


class _Scripted:
    """A fault, and how many calls it has seen."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._matching = 0
        self._allowance, self._filled = 1.0, time.monotonic()

    def meets(self, operation: str, caller: str) -> bool:
        """Count a call, and say whether the fault happens to it."""
        fault = self.fault
        if fault.operation not in ("*", operation) or not caller.startswith(fault.caller):
            return False
        if fault.kind == "throttle" and fault.rate:
            return not self._admits()
        self._matching += 1
        number = self._matching - fault.call
        if number < 0 or number % fault.every:
            return False
        return fault.times == 0 or number // fault.every < fault.times

    def _admits(self) -> bool:
        """Take a call from the allowance, which is filled at the rate up to a second's worth."""
        now = time.monotonic()
        filled = self._allowance + (now - self._filled) * self.fault.rate
        self._allowance, self._filled = min(filled, max(self.fault.rate, 1.0)), now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True


class Faults:
    """WSGI middleware in which calls to AWS go wrong as scripted."""

    def __init__(self, app: "WSGIApplication", kill: Callable[[str], bool]) -> None:
        """Take what answers the calls, and what kills the function process of a name."""
        self._app = app
        self._kill = kill
        self._scripted: list[_Scripted] = []
        self._lock = threading.Lock()
        self._cleared = threading.Event()
        self.met: Counter[str] = Counter()
        """How often each kind of fault has happened."""
        self.calls: deque[tuple[str, str]] = deque(maxlen=MOST_CALLS_KEPT)
        """The last calls: who, and which operation."""

    @property
    def scripted(self) -> list[Fault]:
        """The faults that are scripted."""
        with self._lock:
            return [scripted.fault for scripted in self._scripted]

    def script(self, *faults: Fault) -> None:
        """Let faults happen from now on, besides those that are scripted already."""
        with self._lock:
            self._scripted += [_Scripted(fault) for fault in faults]

    def clear(self) -> None:
        """Let nothing go wrong any more, and release what hangs."""
        with self._lock:
            self._scripted.clear()
            self.met.clear()
            self.calls.clear()
            self._cleared.set()
            self._cleared = threading.Event()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a call, or do to it what is scripted."""
        operation, caller = operation_of(environ), caller_of(environ)
        with self._lock:
            self.calls.append((caller, operation))
            met = [s.fault for s in self._scripted if s.meets(operation, caller)]
            cleared = self._cleared
            self.met.update(fault.kind for fault in met)
        if not met:
            return self._app(environ, start_response)
        return self._happen(met[0], caller, cleared, environ, start_response)

    def _happen(
        self,
        fault: Fault,
        caller: str,
        cleared: threading.Event,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
    ) -> Iterable[bytes]:
        if fault.kind == "delay":
            cleared.wait(fault.seconds)
            return self._app(environ, start_response)
        if fault.kind == "hang":
            cleared.wait(fault.seconds)
            return _hang_up(environ)
        if fault.kind.endswith("after"):
            run_wsgi_app(self._app, environ)
        else:
            read_body(environ)  # so that the connection can be used again
        if fault.kind.startswith("crash"):
            self._kill(caller)
            return _hang_up(environ)
        code, status = fault.code, fault.status
        if fault.kind == "throttle":
            code, status = ("SlowDown", 503) if is_s3(environ) else ("ThrottlingException", 400)
        return _error(environ, code, status, fault.message)(environ, start_response)


# --- answers ---------------------------------------------------------------------------------


def _error(environ: "WSGIEnvironment", code: str, status: int, message: str) -> Response:
    if is_s3(environ):
        words = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        body = f"<Error>{words}</Error>"
        return Response(body, status, content_type="application/xml")
    answer = msgspec.json.encode({"__type": code, "message": message})
    headers = {"x-amzn-ErrorType": code}
    return Response(answer, status, headers, content_type="application/x-amz-json-1.1")


def _hang_up(environ: "WSGIEnvironment") -> Iterable[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("a scripted fault")
