"""Where servers listen, and how they read requests."""

import socket
from typing import Any

from werkzeug.serving import WSGIRequestHandler

HOST = "127.0.0.1"


class PortInUse(Exception):
    """Another program listens on the port."""


def listen(port: int) -> socket.socket:
    """Open a port of 127.0.0.1.

    Raises:
        PortInUse: another program listens there.
    """
    try:
        return socket.create_server((HOST, port), backlog=1024)
    except OSError as error:
        raise PortInUse(f"Port {port} is in use by another program; choose another.") from error


class QuietRequestHandler(WSGIRequestHandler):
    """Says nothing of requests: who wants to see them looks at the client."""

    protocol_version = "HTTP/1.1"  # SDKs keep their connections

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep quiet."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Leave out the line of the server's start, too."""
        if type != "info":
            super().log(type, message, *args)
