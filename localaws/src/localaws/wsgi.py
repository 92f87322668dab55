"""What several of the middlewares do with a request."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def read_body(environ: "WSGIEnvironment") -> bytes:
    """Return the body of a request, which can be read again."""
    size = environ.get("CONTENT_LENGTH")
    body = b""
    if size:
        body = environ["wsgi.input"].read(int(size))
    elif environ.get("wsgi.input_terminated"):  # sent in chunks, it ends without a size, too
        body = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    return body
