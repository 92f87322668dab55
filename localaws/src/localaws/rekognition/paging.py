"""NextToken: the position where a list continues, as an opaque string valid for one list only."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Final, TypeVar

from localaws.rekognition.exceptions import InvalidPaginationTokenException

Item = TypeVar("Item")

_DIGEST_BYTES: Final = 9
_POSITION_BYTES: Final = 8


def encode(scope: str, position: int) -> str:
    """Return the token to continue a list after a position.

    Args:
        scope: identifies the list: the operation and its parameters.
        position: the key of the last item returned.
    """
    return base64.urlsafe_b64encode(
        _digest(scope) + position.to_bytes(_POSITION_BYTES, "big")
    ).decode("ascii")


def decode(scope: str, token: str | None) -> int:
    """Return the position after which a list continues; 0 without a token.

    Raises:
        InvalidPaginationTokenException: the token does not belong to this list.
    """
    if token is None:
        return 0
    try:
        content = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidPaginationTokenException from error
    digest, position = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if digest != _digest(scope) or len(position) != _POSITION_BYTES:
        raise InvalidPaginationTokenException
    return int.from_bytes(position, "big")


def split(items: Sequence[Item], size: int) -> tuple[Sequence[Item], Item | None]:
    """Return a page of at most ``size`` items, and its last item if more items follow, else None.

    Args:
        items: up to ``size`` + 1 items.
        size: number of items on a page.
    """
    page = items[:size]
    return page, page[-1] if len(items) > size else None


def _digest(scope: str) -> bytes:
    return hashlib.sha256(scope.encode()).digest()[:_DIGEST_BYTES]
