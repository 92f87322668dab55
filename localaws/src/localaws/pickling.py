"""moto's objects as bytes and back.

The bytes are pickles with all attributes of an object. Only the same version of moto can read them,
and only the owner of the files can write them.
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

from localaws.errors import damaged

_LOCKS: Final[dict[type, Callable[[], Any]]] = {
    type(threading.RLock()): threading.RLock,
    type(threading.Lock()): threading.Lock,
}
_CHECKSUM_BYTES: Final = 4
# These attributes are rows of their own, so the pickle of their owner holds an empty one.
_EMPTY: Final[dict[type, dict[str, Callable[[], Any]]]] = {
    FakeBucket: {"keys": _VersionedKeyStore, "multiparts": MultipartDict},
    FakeKey: {"_value_buffer": io.BytesIO},
    Table: {"items": lambda: defaultdict(dict)},
    StreamShard: {"items": list},
}
_FORMER_NAMES: Final = ("localaws.persistence.pickling",)
"""Names that this module had when data was written that must stay readable."""


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


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(__name__ if module in _FORMER_NAMES else module, name)


# Pickles refer to these two by name: do not rename or move them.


def _new(kind: type) -> object:
    return object.__new__(kind)


def _restore(value: Any, state: dict[str, Any]) -> None:
    """Set the attributes, past the ``__setstate__`` of S3's objects, which writes their bodies."""
    vars(value).update(state)


def pickled(value: Any) -> bytes:
    """Return an object of moto as bytes, with a checksum before them."""
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(value)
    return sealed(file.getvalue())


def unpickled(content: bytes, path: Path | None) -> Any:
    """Return the object in bytes that ``pickled`` has made.

    Args:
        content: the bytes.
        path: the file that they were read from, for the error.

    Raises:
        DataUnusable: the bytes are damaged.
    """
    return _Unpickler(io.BytesIO(unsealed(content, path))).load()


def sealed(content: bytes) -> bytes:
    """Return bytes with a checksum before them."""
    return zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big") + content


def unsealed(content: bytes, path: Path | None) -> bytes:
    """Return the bytes behind the checksum.

    Args:
        content: checksum and bytes.
        path: the file that they were read from, for the error.

    Raises:
        DataUnusable: the checksum differs.
    """
    rest = content[_CHECKSUM_BYTES:]
    if zlib.crc32(rest).to_bytes(_CHECKSUM_BYTES, "big") != content[:_CHECKSUM_BYTES]:
        raise damaged(path, "a checksum differs")
    return rest
