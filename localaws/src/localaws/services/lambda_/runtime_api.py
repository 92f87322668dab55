"""The Lambda Runtime API, from which an execution environment gets events.

Source: "Using the Lambda runtime API for custom runtimes" in the Lambda Developer Guide.
"""

import json
import os
import re
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from localaws.ports import HOST
from localaws.services.lambda_.errors import FunctionError

MOST_ANSWERED = 6 * 1024 * 1024 + 100
"""The most bytes of a result."""

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
        api = self

        class Handler(_Handler):
            runtime_api = api

        self._server = _Server((HOST, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_until_closed, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The value of ``AWS_LAMBDA_RUNTIME_API`` for the process."""
        return f"{HOST}:{self._server.server_port}"

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
        self._server.close()
        self._thread.join()

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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    runtime_api: RuntimeApi

    def parse_request(self) -> bool:
        """Read a request, and refuse one that is not the process's."""
        if not super().parse_request():
            return False
        if self._is_foreign():
            self.close_connection = True
            self.send_error(403)
            return False
        return True

    def _is_foreign(self) -> bool:
        """Return whether a web page or another user of the machine sends the request.

        Browsers name the origin or the site of a page; the process's client does not.
        """
        is_page = any(name in self.headers for name in ("Origin", "Sec-Fetch-Site"))
        is_here = self.headers.get_all("Host") == [self.runtime_api.address]
        return is_page or not is_here or _owner_of(self.client_address) != os.getuid()

    def do_GET(self) -> None:
        if self.path != f"{_RUNTIME}/invocation/next":
            self._answer(404)
            return
        invocation = self.runtime_api.next()
        if invocation is None:
            self.close_connection = True
            return
        self._answer(
            200,
            invocation.payload,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(round(invocation.deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            },
        )

    def do_POST(self) -> None:
        body = self._body()
        if answer := _ANSWER.fullmatch(self.path):
            known = self.runtime_api.answered(answer[1], answer[2], body)
            self._answer(202 if known else 400, b'{"status":"OK"}')
        elif self.path == f"{_RUNTIME}/init/error":
            self.runtime_api.failed_to_start(body)
            self._answer(202, b'{"status":"OK"}')
        else:
            self._answer(404)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a process that was stopped may leave its connection open

    def serve_until_closed(self) -> None:
        while True:
            try:
                request, address = self.get_request()
            except OSError:
                return
            self.process_request(request, address)

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)  # this wakes the thread that waits for a connection
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing about processes that are gone."""


def _owner_of(address: tuple[str, int]) -> int | None:
    """Return the user id of the process with a connection from an address of this machine.

    Source: proc_net_tcp in the documentation of Linux, which is the only system that has functions.
    """
    host, port = address
    number = int.from_bytes(socket.inet_aton(host), sys.byteorder)
    local = f"{number:08X}:{port:04X}"
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            if fields[1] == local:
                return int(fields[7])
    return None


def _error(body: bytes) -> Any:
    try:
        error = json.loads(body)
    except ValueError:
        error = None
    return error if isinstance(error, dict) else {"errorType": "Unknown", "errorMessage": ""}
