"""HTTP servers on ports of this machine."""

import errno
import io
import re
import socket
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from werkzeug.serving import WSGIRequestHandler, make_server

from localaws.connections import PATIENCE, Connection, Connections
from localaws.guard import Guard

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"
_LENGTH: Final = re.compile(r"[0-9]{1,15}")


class PortUnusable(Exception):
    """A server cannot listen on a port.

    Args:
        port: the port.
        reason: the rest of the sentence that begins with "Port 80".
    """

    def __init__(self, port: int, reason: str) -> None:
        super().__init__(f"Port {port} {reason}; choose another.")
        self.port = port


def listen(port: int) -> socket.socket:
    """Return a socket that listens on a port of 127.0.0.1.

    Args:
        port: 0 picks a free one.

    Raises:
        PortUnusable: the port is taken, does not exist, or needs more rights.
    """
    try:
        return socket.create_server((HOST, port), backlog=1024)
    except OverflowError as error:
        raise PortUnusable(port, "does not exist: ports go up to 65535") from error
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        reason = "is in use by another program" if is_taken else f"cannot be used: {error.strerror}"
        raise PortUnusable(port, reason) from error


class QuietRequestHandler(WSGIRequestHandler):
    """Reads requests and logs none of them: clients show their own requests."""

    protocol_version = "HTTP/1.1"
    connections: Connections
    """Knows how much of a body has come."""
    _is_awaiting = False

    def setup(self) -> None:
        """Read the header that has arrived already, and write to the connection."""
        received: Connection = self.request
        self.connection = received.socket
        self.rfile = io.BytesIO(received.header)
        self.wfile = received  # type: ignore[assignment]

    def parse_request(self) -> bool:
        """Read the header; refuse one that is too long."""
        received: Connection = self.request
        if received.is_header_whole:
            return super().parse_request()
        self.command = self.requestline = ""
        self.request_version = self.protocol_version
        self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return False

    def handle_expect_100(self) -> bool:
        """Tell the client to send the body only when somebody reads it."""
        self._is_awaiting = True
        del self.headers["Expect"]  # werkzeug would answer at once
        return True

    def finish(self) -> None:
        """Leave the connection open: whoever accepted it closes it."""

    def make_environ(self) -> "WSGIEnvironment":
        """Return the request with its body, which is read within limits."""
        environ = super().make_environ()
        length = environ.get("CONTENT_LENGTH", "")
        if environ.get("wsgi.input_terminated"):
            size = None
        else:  # a length that is none is refused by the application, before it reads
            size = int(length) if _LENGTH.fullmatch(length) else 0
        body = environ["wsgi.input"] = self.connections.body_of(self.request, size)
        body.is_awaited = self._is_awaiting
        return environ

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log errors of the application, but neither the server's start nor bad requests."""
        if type != "info":
            super().log(type, message, *args)

    def log_error(self, format: str, *args: Any) -> None:
        """Log nothing about requests that are no HTTP: the client is told."""


class Server:
    """A WSGI application on an open port, with a thread for each request and a guard.

    As a context manager it starts on entry and stops on exit.

    Args:
        listening: the open socket; the server closes it.
        app: answers the requests.
        name: of the thread that accepts connections.
        request_handler: reads the requests.
        patience: seconds that a body or an answer may take, besides the time for its bytes.
        most_connections: at the same time; None takes a share of the files that may be open.
    """

    def __init__(
        self,
        listening: socket.socket,
        app: "WSGIApplication",
        name: str,
        request_handler: type[QuietRequestHandler] = QuietRequestHandler,
        *,
        patience: float = PATIENCE,
        most_connections: int | None = None,
    ) -> None:
        self.port: int = listening.getsockname()[1]
        self.guard = Guard(app)
        """Decides which web pages may use the port: at first, only its own."""
        with listening:
            # It duplicates the socket and tells handlers about the application. It serves nothing.
            self._server = make_server(HOST, self.port, self.guard, fd=listening.fileno())
        self._connections = Connections(
            self._server.socket, self._answer, name, patience=patience, most=most_connections
        )
        self._handler = type("Handler", (request_handler,), {"connections": self._connections})

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Begin to answer requests."""
        self._connections.start()

    def stop(self) -> None:
        """Stop answering requests, and close the port."""
        self._connections.stop()
        self._server.server_close()

    def _answer(self, connection: Connection) -> None:
        """Answer the request of a connection."""
        self._handler(connection, connection.address, self._server)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
