"""The chain of layers that a request goes through, and reading a request's body."""

import io
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Layer(Protocol):
    """Answers some requests and passes the others to the layers below it, ``inner``."""

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Answer a request, or let ``inner`` answer it."""
        ...


def chain(layers: Sequence[Layer], app: "WSGIApplication") -> "WSGIApplication":
    """Return an application that sends requests through the layers and then to ``app``.

    Args:
        layers: the first one gets each request first.
        app: answers the requests that every layer has passed on.
    """
    for layer in reversed(layers):
        app = partial(layer, inner=app)
    return app


def read_body(environ: "WSGIEnvironment") -> bytes:
    """Return the body of a request, which has a length, and leave it for the next layer to read."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    replace_body(environ, body)
    return body


def replace_body(environ: "WSGIEnvironment", body: bytes) -> None:
    """Let the next layer read another body."""
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # the body has a length now
