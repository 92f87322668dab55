r"""Scripted faults: AWS's errors, delays and crashes, by operation and number of the call.

From a test in the same process, or over HTTP (see :mod:`localaws.middleware.control`)::

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

import msgspec
from msgspec import Meta
from werkzeug.test import run_wsgi_app

from localaws.refusals import RequestRefused, error_response, throttled
from localaws.request import request_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MOST_CALLS_KEPT = 10_000

Kind = Literal[
    "error before", "error after", "throttle", "delay", "hang", "crash before", "crash after"
]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault that happens to calls of one operation."""

    operation: str
    """AWS's name, such as ``IndexFaces`` or ``PutObject``; ``*`` means every operation."""
    kind: Kind
    """``before``: the operation did not run. ``after``: it ran, but the caller gets an error.

    ``throttle`` refuses calls; with a ``rate``, only the calls above the rate. ``delay`` answers
    after ``seconds``. ``hang`` closes the connection after ``seconds`` without an answer. ``crash``
    kills the process of the calling function, or closes the connection of any other caller.
    """
    call: Annotated[int, Meta(ge=1)] = 1
    """The first matching call that fails, counted from the moment of scripting."""
    times: Annotated[int, Meta(ge=0)] = 1
    """The number of calls that fail; 0 means all that follow."""
    every: Annotated[int, Meta(ge=1)] = 1
    """Only every n-th call fails."""
    caller: str = ""
    """Only calls of SDKs whose application id begins with this fail."""
    code: str = "InternalServerError"
    status: Annotated[int, Meta(ge=400, le=599)] = 500
    message: str = "A scripted fault."
    seconds: Annotated[float, Meta(ge=0)] = 60.0
    rate: Annotated[float, Meta(ge=0)] = 0.0
    """Calls per second that are not throttled. ``call``, ``times`` and ``every`` are ignored."""


class _ScriptedFault:
    """A fault with the number of calls that it has seen."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._matching = 0
        self._allowance, self._filled = 1.0, time.monotonic()

    def meets(self, operation: str, caller: str) -> bool:
        """Count a call, and return whether the fault happens to it."""
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
        """Count a call, and return whether it is within the rate of the fault."""
        now = time.monotonic()
        filled = self._allowance + (now - self._filled) * self.fault.rate
        self._allowance, self._filled = min(filled, max(self.fault.rate, 1.0)), now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True


class Faults:
    """Layer in which calls to AWS fail as scripted.

    Args:
        kill: kills the process of the function with a caller's name; returns whether there was one.
    """

    def __init__(self, kill: Callable[[str], bool]) -> None:
        self._kill = kill
        self._scripted: list[_ScriptedFault] = []
        self._lock = threading.Lock()
        self._cleared = threading.Event()
        self.met: Counter[str] = Counter()
        """How often each kind of fault has happened."""
        self.calls: deque[tuple[str, str]] = deque(maxlen=MOST_CALLS_KEPT)
        """The last calls: caller and operation."""

    @property
    def scripted(self) -> list[Fault]:
        """The faults that are scripted."""
        with self._lock:
            return [scripted.fault for scripted in self._scripted]

    def script(self, *faults: Fault) -> None:
        """Add faults that happen from now on."""
        with self._lock:
            self._scripted += [_ScriptedFault(fault) for fault in faults]

    def clear(self) -> None:
        """Remove all faults and counts, and end the delays of waiting calls."""
        with self._lock:
            self._scripted.clear()
            self.met.clear()
            self.calls.clear()
            self._cleared.set()
            self._cleared = threading.Event()

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Let the fault that meets a call happen; pass on all other calls."""
        request = request_of(environ)
        operation, caller = request.operation, request.caller
        with self._lock:
            self.calls.append((caller, operation))
            met = [s.fault for s in self._scripted if s.meets(operation, caller)]
            cleared = self._cleared
            self.met.update(fault.kind for fault in met)
        if not met:
            return inner(environ, start_response)
        return self._happen(met[0], cleared, environ, start_response, inner)

    def _happen(
        self,
        fault: Fault,
        cleared: threading.Event,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        request = request_of(environ)
        if fault.kind == "delay":
            cleared.wait(fault.seconds)
            return inner(environ, start_response)
        if fault.kind == "hang":
            cleared.wait(fault.seconds)
            return _hang_up(environ)
        if fault.kind.endswith("after"):
            run_wsgi_app(inner, environ)
        if fault.kind.startswith("crash"):
            self._kill(request.caller)
            return _hang_up(environ)
        if fault.kind == "throttle":
            refused = throttled(request, fault.message)
        else:
            refused = RequestRefused(fault.code, fault.message, fault.status)
        return error_response(request, refused)(environ, start_response)


def _hang_up(environ: "WSGIEnvironment") -> Iterable[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("a scripted fault")
