"""DynamoDB's promise that a write is seen whole or not at all, which moto does not keep.

moto changes items in place and step by step: requests that come meanwhile see an item without its
new attributes, half of a transaction, or a condition that held a moment ago.
"""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class AtomicDynamoDB:
    """WSGI middleware that lets requests to DynamoDB through one at a time."""

    def __init__(self, app: "WSGIApplication") -> None:
        """Take moto's application."""
        self._app = app
        self._lock = threading.Lock()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Pass a request on when the one before is over."""
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_"):
            return self._app(environ, start_response)
        read_body(environ)  # now, so that a slow client holds up nobody
        with self._lock:
            return [b"".join(self._app(environ, start_response))]
