"""HTTP servers on ports of this machine."""

import errno
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from werkzeug.serving import WSGIRequestHandler, make_server

from localaws.guard import Guard

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HOST = "127.0.0.1"


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

    protocol_version = "HTTP/1.1"  # SDKs keep their connections open
    timeout = 30.0
    """Seconds to wait for the next part of a request, or for the next request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log errors, but not the server's start."""
        if type != "info":
            super().log(type, message, *args)


class Server:
    """A WSGI application on an open port, with a thread for each connection and a guard.

    As a context manager it starts on entry and stops on exit.

    Args:
        listening: the open socket; the server closes it.
        app: answers the requests.
        name: of the thread that accepts connections.
        request_handler: reads the requests.
    """

    def __init__(
        self,
        listening: socket.socket,
        app: "WSGIApplication",
        name: str,
        request_handler: type[WSGIRequestHandler] = QuietRequestHandler,
    ) -> None:
        self.port: int = listening.getsockname()[1]
        self.guard = Guard(app)
        """Decides which web pages may use the port: at first, only its own."""
        with listening:
            self._server = make_server(
                HOST,
                self.port,
                self.guard,
                threaded=True,
                request_handler=request_handler,
                fd=listening.fileno(),  # the server duplicates it
            )
        self._thread = threading.Thread(target=self._server.serve_forever, name=name)

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Begin to answer requests."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering requests, and close the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

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
