"""Bodies: read once, within limits, and whole, before any other layer uses the request.

Source of the error codes: "Error responses" and "Checking object integrity" in the Amazon S3 API
Reference and User Guide.
"""

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from localaws.refusals import RequestRefused, error_response
from localaws.request import request_of
from localaws.wsgi import replace_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MOST_BYTES: Final = 256 * 1024 * 1024
"""AWS takes 5 GiB in one request to S3, and less everywhere else. Here memory holds the body."""

_PIECE: Final = 64 * 1024
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CHECKSUMS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "HTTP_X_AMZ_CHECKSUM_CRC32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "HTTP_X_AMZ_CHECKSUM_SHA1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "HTTP_X_AMZ_CHECKSUM_SHA256": lambda body: hashlib.sha256(body).digest(),
}


def check_body(
    environ: "WSGIEnvironment", start_response: "StartResponse", inner: "WSGIApplication"
) -> Iterable[bytes]:
    """Layer that refuses a body which is too large, cut off or not the one that was announced."""
    try:
        _check(environ, read_whole(environ))
    except RequestRefused as refused:
        response = error_response(request_of(environ), refused)
        response.headers["Connection"] = "close"  # a part of the body may still come
        return response(environ, start_response)
    return inner(environ, start_response)


def read_whole(environ: "WSGIEnvironment") -> bytes:
    """Return the body of a request, and leave it readable for the next layer.

    It is read in pieces, so that memory grows only with the bytes that really come.

    Raises:
        RequestRefused: the body is too large or cut off, or has no clear end.
    """
    length = environ.get("CONTENT_LENGTH") or None
    is_chunked = "HTTP_TRANSFER_ENCODING" in environ
    if is_chunked and (length is not None or not environ.get("wsgi.input_terminated")):
        raise RequestRefused("InvalidRequest", "The request does not say where its body ends.")
    if length is not None and not _LENGTH.fullmatch(length):
        raise RequestRefused("InvalidRequest", "The Content-Length is not a number of bytes.")
    if length is None and not is_chunked:
        replace_body(environ, b"")
        return b""
    left = MOST_BYTES + 1 if length is None else int(length)
    body = bytearray()
    while left > 0 and len(body) <= MOST_BYTES:
        try:
            piece = environ["wsgi.input"].read(min(left, _PIECE))
        except (OSError, ValueError) as error:  # it is cut off, too slow, or not chunked properly
            raise _incomplete() from error
        if not piece:
            break
        body += piece
        left -= len(piece)
    if len(body) > MOST_BYTES:
        raise RequestRefused("EntityTooLarge", f"A body has at most {MOST_BYTES} bytes here.")
    if length is not None and left > 0:
        raise _incomplete()
    replace_body(environ, bytes(body))
    return bytes(body)


def _incomplete() -> RequestRefused:
    return RequestRefused(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    )


def _check(environ: "WSGIEnvironment", body: bytes) -> None:
    """Compare a body with the digests in its headers."""
    if md5 := environ.get("HTTP_CONTENT_MD5"):
        wanted = _decoded(md5, 16, "InvalidDigest", "The Content-MD5 you specified was invalid.")
        if hashlib.md5(body, usedforsecurity=False).digest() != wanted:
            raise RequestRefused(
                "BadDigest", "The Content-MD5 you specified did not match what we received."
            )
    sha256 = str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", ""))
    if _DIGEST.fullmatch(sha256) and hashlib.sha256(body).hexdigest() != sha256:
        raise RequestRefused(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
    if sha256.startswith("STREAMING-"):  # the checksums are those of the body without its framing
        return
    for header, compute in _CHECKSUMS.items():
        if given := environ.get(header):
            name = header.removeprefix("HTTP_").replace("_", "-").lower()
            found = compute(body)
            message = f"Value for {name} header is invalid."
            if _decoded(given, len(found), "InvalidRequest", message) != found:
                raise RequestRefused("BadDigest", f"The {name} you specified did not match.")


def _decoded(text: str, size: int, code: str, message: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        value = b""
    if len(value) != size:
        raise RequestRefused(code, message)
    return value
