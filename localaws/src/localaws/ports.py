"""Where servers listen, and how they read requests."""

import errno
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HOST = "127.0.0.1"


class PortUnusable(Exception):
    """A port cannot be listened on."""

    def __init__(self, port: int, reason: str) -> None:
        """Take the port, and what is with it."""
        super().__init__(f"Port {port} {reason}; choose another.")
        self.port = port


def listen(port: int) -> socket.socket:
    """Open a port of 127.0.0.1.

    Raises:
        PortUnusable: another program listens there, say.
    """
    try:
        return socket.create_server((HOST, port), backlog=1024)
    except OverflowError as error:
        raise PortUnusable(port, "is none: they go up to 65535") from error
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        reason = "is in use by another program" if is_taken else f"cannot be used: {error.strerror}"
        raise PortUnusable(port, reason) from error


class QuietRequestHandler(WSGIRequestHandler):
    """Says nothing of requests: who wants to see them looks at the client."""

    protocol_version = "HTTP/1.1"  # SDKs keep their connections

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep quiet."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Leave out the line of the server's start, too."""
        if type != "info":
            super().log(type, message, *args)


class Server:
    """A WSGI application on an open port, as a context: a thread for each connection."""

    def __init__(
        self,
        listening: socket.socket,
        app: "WSGIApplication",
        name: str,
        request_handler: type[WSGIRequestHandler] = QuietRequestHandler,
    ) -> None:
        """Take over the port, what answers there, and how to call the thread that listens."""
        self.port: int = listening.getsockname()[1]
        with listening:
            self._server = make_server(
                HOST,
                self.port,
                app,
                threaded=True,
                request_handler=request_handler,
                fd=listening.fileno(),  # of which the server takes a duplicate
            )
        self._thread = threading.Thread(target=self._server.serve_forever, name=name)

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
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
