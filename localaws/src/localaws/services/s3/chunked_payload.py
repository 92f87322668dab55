"""Payloads with AWS's own chunks, in which clients send a stream whose digest they do not know yet.

Sources: "Signature calculations for the authorization header: transferring a payload in multiple
chunks (AWS Signature Version 4)" and the page on trailing headers, in the Amazon S3 API Reference.
"""

import re
from hashlib import sha256
from typing import Final, Protocol

from localaws.refusals import RequestRefused

_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,15})(?:;chunk-signature=([0-9a-f]{64}))?\r\n")
_TRAILER: Final = re.compile(rb"([a-zA-Z0-9-]{1,100}):([^\r\n]{0,1000})(?:\r\n|\n|\Z)")
_EMPTY: Final = sha256(b"").hexdigest()
_SIGNATURE: Final = "x-amz-trailer-signature"


class ChunkSigner(Protocol):
    """Computes the signatures of a payload's chunks, of which each depends on the one before."""

    def next(self, kind: str, *digests: str) -> str:
        """Return the signature of the next part.

        Args:
            kind: ``PAYLOAD`` or ``TRAILER``.
            digests: of the part, SHA-256 in hexadecimal.
        """
        ...


def decode(payload: bytes, signer: ChunkSigner | None) -> tuple[bytes, dict[str, str]]:
    """Return the content of a chunked payload, and its trailing headers by name in lower case.

    Args:
        payload: the body of the request.
        signer: for a payload whose chunks are signed; None leaves signatures unchecked.

    Raises:
        RequestRefused: the payload is malformed or cut off, or a signature is wrong.
    """
    content, position = bytearray(), 0
    while True:
        head = _CHUNK.match(payload, position)
        if head is None:
            raise _incomplete()
        size, begin = int(head[1], 16), head.end()
        chunk = payload[begin : begin + size]
        if len(chunk) < size:
            raise _incomplete()
        if signer is not None:
            _compare(signer.next("PAYLOAD", _EMPTY, sha256(chunk).hexdigest()), head[2])
        position = begin + size
        if size == 0:
            return bytes(content), _trailers(payload[position:], signer)
        if payload[position : position + 2] != b"\r\n":
            raise _incomplete()
        position += 2
        content += chunk


def _trailers(rest: bytes, signer: ChunkSigner | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    position = 0
    while line := _TRAILER.match(rest, position):
        name = line[1].decode().lower()
        if name in headers:
            raise _malformed()
        headers[name] = line[2].decode("latin-1").strip()
        position = line.end()
    if rest[position:] not in (b"", b"\r\n"):
        raise _malformed()
    given = headers.pop(_SIGNATURE, None)
    if signer is not None and headers:
        canonical = "".join(f"{name}:{value}\n" for name, value in headers.items())
        digest = sha256(canonical.encode("latin-1")).hexdigest()
        _compare(signer.next("TRAILER", digest), (given or "").encode())
    return headers


def _compare(expected: str, given: bytes | None) -> None:
    if given != expected.encode():
        raise RequestRefused(
            "SignatureDoesNotMatch", "The signature of a chunk does not match its content.", 403
        )


def _incomplete() -> RequestRefused:
    return RequestRefused("IncompleteBody", "The request body terminated unexpectedly.")


def _malformed() -> RequestRefused:
    return RequestRefused("MalformedTrailerError", "The trailing headers are malformed.")
