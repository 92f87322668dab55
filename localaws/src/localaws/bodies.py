"""The bodies of requests, read within limits."""

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from localaws.connections import NoRoom
from localaws.wsgi import replace_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_PIECE: Final = 64 * 1024
_LENGTH: Final = re.compile(r"[0-9]{1,15}")


class Reason(StrEnum):
    """Why a body is refused."""

    UNCLEAR = "The request does not say clearly where its body ends."
    NO_NUMBER = "The Content-Length is not a number of bytes."
    CUT_OFF = "The body was cut off on its way."
    TOO_LARGE = "The body is too large."
    TOO_SLOW = "The body came too slowly."
    NO_ROOM = "Too many bodies are coming at once."


class BodyRefused(Exception):
    """A body cannot be read."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def read_whole(environ: "WSGIEnvironment", most: int) -> bytes:
    """Return the body of a request, and leave it readable for the next reader.

    It is read in pieces, so that memory grows only with the bytes that really come.

    Args:
        environ: the request.
        most: the most bytes of the body.

    Raises:
        BodyRefused: the body is too large, too slow or cut off, or has no clear end.
    """
    length = environ.get("CONTENT_LENGTH") or None
    encoding = environ.get("HTTP_TRANSFER_ENCODING")
    if encoding is not None and (length is not None or encoding.strip().lower() != "chunked"):
        raise BodyRefused(Reason.UNCLEAR)
    if length is not None and not _LENGTH.fullmatch(length):
        raise BodyRefused(Reason.NO_NUMBER)
    if length is not None and int(length) > most:
        raise BodyRefused(Reason.TOO_LARGE)
    body = bytearray()
    wanted = most + 1 if encoding is not None else int(length or 0)
    while len(body) < wanted:
        try:
            piece = environ["wsgi.input"].read(min(wanted - len(body), _PIECE))
        except NoRoom:
            raise BodyRefused(Reason.NO_ROOM) from None
        except TimeoutError:
            raise BodyRefused(Reason.TOO_SLOW) from None
        except OSError:  # it is cut off, or not chunked properly
            raise BodyRefused(Reason.CUT_OFF) from None
        if not piece:
            break
        body += piece
    if len(body) > most:
        raise BodyRefused(Reason.TOO_LARGE)
    if encoding is None and len(body) < wanted:
        raise BodyRefused(Reason.CUT_OFF)
    replace_body(environ, bytes(body))
    return bytes(body)
