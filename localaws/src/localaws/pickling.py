"""moto's objects as bytes and back.

The bytes are pickles: they hold all that moto knows of an object, and are read by the same version
of moto only, from files that nobody but their owner can write.
"""

import io
import pickle
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from moto.dynamodb.models.table import StreamShard, Table
from moto.s3.models import FakeBucket, FakeKey, MultipartDict
from moto.s3.utils import _VersionedKeyStore

from localaws.database import damaged

_LOCKS: Final[dict[type, Callable[[], Any]]] = {
    type(threading.RLock()): threading.RLock,
    type(threading.Lock()): threading.Lock,
}
_CHECKSUM_BYTES: Final = 4
# What is kept as rows of its own is left out of what it belongs to.
_EMPTY: Final[dict[type, dict[str, Callable[[], Any]]]] = {
    FakeBucket: {"keys": _VersionedKeyStore, "multiparts": MultipartDict},
    FakeKey: {"_value_buffer": io.BytesIO},
    Table: {"items": lambda: defaultdict(dict)},
    StreamShard: {"items": list},
}


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if kind in _LOCKS:
            return _LOCKS[kind], ()
        if kind in _EMPTY:
            state = dict(vars(value))
            state.update((name, make()) for name, make in _EMPTY[kind].items() if name in state)
            return _new, (kind,), state, None, None, _restore
        return NotImplemented


def _new(kind: type) -> object:
    return object.__new__(kind)


def _restore(value: Any, state: dict[str, Any]) -> None:
    """Stand in for the way of an object of S3, which writes its body."""
    vars(value).update(state)


def pickled(value: Any) -> bytes:
    """Return an object of moto's as bytes, with a checksum before them."""
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(value)
    return sealed(file.getvalue())


def unpickled(content: bytes, path: Path | None) -> Any:
    """Return the object that ``pickled`` made bytes of.

    Raises:
        DataUnusable: the file of that path is damaged.
    """
    return pickle.loads(unsealed(content, path))  # noqa: S301 - written by this program


def sealed(content: bytes) -> bytes:
    """Return bytes with a checksum before them."""
    return zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big") + content


def unsealed(content: bytes, path: Path | None) -> bytes:
    """Return the bytes that were sealed.

    Raises:
        DataUnusable: they are others now.
    """
    rest = content[_CHECKSUM_BYTES:]
    if zlib.crc32(rest).to_bytes(_CHECKSUM_BYTES, "big") != content[:_CHECKSUM_BYTES]:
        raise damaged(path, "a checksum differs")
    return rest
