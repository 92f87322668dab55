"""The Lambda Runtime API, from which an execution environment gets events.

Source: "Using the Lambda runtime API for custom runtimes" in the Lambda Developer Guide.
"""

import json
import os
import re
import socket
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from localaws.bodies import BodyRefused, Reason, read_whole
from localaws.ports import HOST, Server, listen
from localaws.services.lambda_.errors import FunctionError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MOST_ANSWERED = 6 * 1024 * 1024 + 100
"""The most bytes of a result."""

MOST_SENT = 32 * 1024 * 1024
"""The most bytes that a process may send: a result that is too large is still understood."""
MOST_CONNECTIONS = 32

_ESTABLISHED = "01"
_RUNTIME = "/2018-06-01/runtime"
_ANSWER = re.compile(rf"{_RUNTIME}/invocation/([^/]+)/(response|error)")


@dataclass
class Invocation:
    """An event for a function, and later its result or error."""

    request_id: str
    payload: bytes
    function_arn: str
    deadline: float
    """Seconds since the epoch."""
    ended: threading.Event = field(default_factory=threading.Event)
    result: bytes = b""
    error: FunctionError | None = None

    def succeed(self, result: bytes) -> None:
        """End with a result."""
        self.result = result
        self.ended.set()

    def fail(self, payload: Any) -> None:
        """End with an error."""
        self.error = FunctionError(payload)
        self.ended.set()


class RuntimeApi:
    """The server for the one process of an execution environment, on a port of its own."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        """Set when the process has loaded its handler, or failed to load it."""
        self.init_error: Any = None
        self._condition = threading.Condition()
        self._waiting: Invocation | None = None
        self._current: Invocation | None = None
        self._closed = False
        self._server = Server(
            listen(0), self._serve, "runtime-api", most_connections=MOST_CONNECTIONS
        )
        self._server.start()

    @property
    def address(self) -> str:
        """The value of ``AWS_LAMBDA_RUNTIME_API`` for the process."""
        return f"{HOST}:{self._server.port}"

    def give(self, invocation: Invocation) -> None:
        """Give the process an event."""
        with self._condition:
            self._waiting = self._current = invocation
            self._condition.notify_all()

    def close(self) -> None:
        """Stop answering, and close the port."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        self._server.stop()

    def _serve(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        return self._answer_to(environ)(environ, start_response)

    def _answer_to(self, environ: "WSGIEnvironment") -> Response:
        if _is_foreign(environ):
            return _answer(403)
        path, is_post = environ["PATH_INFO"], environ["REQUEST_METHOD"] == "POST"
        if not is_post:
            return self._next_event() if path == f"{_RUNTIME}/invocation/next" else _answer(404)
        try:
            body = read_whole(environ, MOST_SENT)
        except BodyRefused as refused:
            return _answer(413 if refused.reason is Reason.TOO_LARGE else 400)
        if answer := _ANSWER.fullmatch(path):
            return _answer(202 if self.answered(answer[1], answer[2], body) else 400)
        if path == f"{_RUNTIME}/init/error":
            self.failed_to_start(body)
            return _answer(202)
        return _answer(404)

    def _next_event(self) -> Response:
        invocation = self.next()
        if invocation is None:  # the process is about to be ended
            return _answer(500)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(round(invocation.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
        }
        return Response(invocation.payload, 200, headers, content_type="application/json")

    def next(self) -> Invocation | None:
        """Wait for the next event and return it; None when the server is closed."""
        self.ready.set()
        with self._condition:
            self._condition.wait_for(lambda: self._waiting is not None or self._closed)
            invocation, self._waiting = self._waiting, None
            return invocation

    def answered(self, request_id: str, kind: str, body: bytes) -> bool:
        """Record the answer to an event; return False if nobody waits for it.

        Args:
            request_id: of the event.
            kind: ``response`` or ``error``.
            body: the result, or the error in JSON.
        """
        invocation = self._current
        if invocation is None or invocation.request_id != request_id:
            return False
        if kind == "error":
            invocation.fail(_error(body))
        elif len(body) > MOST_ANSWERED:
            invocation.fail(
                {
                    "errorType": "Function.ResponseSizeTooLarge",
                    "errorMessage": "Response payload size exceeded maximum allowed payload size"
                    f" ({MOST_ANSWERED} bytes).",
                }
            )
        else:
            invocation.succeed(body)
        return True

    def failed_to_start(self, body: bytes) -> None:
        """Record why the handler could not be loaded."""
        self.init_error = _error(body)
        self.ready.set()


def _answer(status: int) -> Response:
    return Response(
        b'{"status":"OK"}' if status == 202 else b"", status, content_type="application/json"
    )


def _is_foreign(environ: "WSGIEnvironment") -> bool:
    """Return whether a web page or another user of the machine sends the request.

    Browsers name the origin or the site of a page; the process's client does not.
    """
    is_page = "HTTP_ORIGIN" in environ or "HTTP_SEC_FETCH_SITE" in environ
    client = environ["REMOTE_ADDR"], environ["REMOTE_PORT"]
    return is_page or _owner_of(client, int(environ["SERVER_PORT"])) != os.getuid()


def _owner_of(client: tuple[str, int], server_port: int) -> int | None:
    """Return the user id of the process that has an open connection to a port of this machine.

    A closed connection, of which the system remembers no user, may have had the same address.
    Source: proc_net_tcp in the documentation of Linux, which is the only system that has functions.
    """
    wanted = [_in_hexadecimal(*client), _in_hexadecimal(HOST, server_port), _ESTABLISHED]
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            if fields[1:4] == wanted:
                return int(fields[7])
    return None


def _in_hexadecimal(host: str, port: int) -> str:
    number = int.from_bytes(socket.inet_aton(host), sys.byteorder)
    return f"{number:08X}:{port:04X}"


def _error(body: bytes) -> Any:
    try:
        error = json.loads(body)
    except ValueError:
        error = None
    return error if isinstance(error, dict) else {"errorType": "Unknown", "errorMessage": ""}
