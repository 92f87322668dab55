"""Exact nearest-neighbour search over unit vectors."""

import mmap
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_FIRST_CAPACITY: Final = 64
_MOVED_AT_ONCE: Final = 16 * 1024 * 1024


class Neighbour(NamedTuple):
    """A stored vector, and the cosine of its angle with the one searched for."""

    key: int
    cosine: float


class VectorIndex:
    """Vectors under integer keys, in one contiguous float32 matrix.

    The matrix grows by doubling; rows that were never written take no memory. A deleted row is
    overwritten by one of the last, so nothing is rebuilt and no row is unused. A vector is found by
    its key in a scan of the keys, a 64th of the matrix, which takes less than a millisecond for a
    million; a dictionary would need a fifth more memory. Not safe to share between threads.
    """

    def __init__(self, length: int) -> None:
        self._count = 0
        self._keys: NDArray[np.int64] = np.empty(_FIRST_CAPACITY, np.int64)
        self._memory = _memory(_FIRST_CAPACITY * length * np.dtype(np.float32).itemsize)
        self._matrix = _matrix(self._memory, length)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, key: int) -> NDArray[np.float32]:
        """Return a copy of the vector stored under a key."""
        (rows,) = np.nonzero(self._keys[: self._count] == key)
        if not rows.size:
            raise KeyError(key)
        vector: NDArray[np.float32] = self._matrix[rows[0]].copy()
        return vector

    def add(self, key: int, vector: NDArray[np.float32]) -> None:
        """Store a unit vector under a new key."""
        if self._count == len(self._keys):
            self._grow()
        self._matrix[self._count] = vector
        self._keys[self._count] = key
        self._count += 1

    def remove(self, keys: Collection[int]) -> None:
        """Forget the vectors stored under some keys."""
        removed = np.isin(self._keys[: self._count], np.fromiter(keys, np.int64, len(keys)))
        left = self._count - int(np.count_nonzero(removed))
        (gaps,) = np.nonzero(removed[:left])
        last = left + np.flatnonzero(~removed[left:])
        self._matrix[gaps] = self._matrix[last]
        self._keys[gaps] = self._keys[last]
        self._count = left

    def search(self, vector: NDArray[np.float32], limit: int) -> Iterator[Neighbour]:
        """Yield the stored vectors nearest to a unit vector, best first, at most ``limit``.

        The index must not change while the result is read.
        """
        cosines = self._matrix[: self._count] @ vector
        if limit < self._count:
            rows = np.argpartition(cosines, self._count - limit)[self._count - limit :]
        else:
            rows = np.arange(self._count)
        rows = rows[np.argsort(-cosines[rows], kind="stable")]
        for row in rows:
            yield Neighbour(int(self._keys[row]), float(cosines[row]))

    def _grow(self) -> None:
        """Move everything to twice the room, a part at a time, so that nothing exists twice."""
        larger = _memory(2 * len(self._memory))
        source, target = (np.frombuffer(memory, np.uint8) for memory in (self._memory, larger))
        for start in range(0, len(source), _MOVED_AT_ONCE):
            part = source[start : start + _MOVED_AT_ONCE]
            target[start : start + len(part)] = part
            self._memory.madvise(mmap.MADV_DONTNEED, start, len(part))
        self._memory, self._matrix = larger, _matrix(larger, self._matrix.shape[1])
        self._keys = np.concatenate([self._keys, np.empty_like(self._keys)])


def _memory(size: int) -> mmap.mmap:
    """Return memory that is the system's until it is written, in large pages where it has such."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _matrix(memory: mmap.mmap, length: int) -> NDArray[np.float32]:
    return np.frombuffer(memory, np.float32).reshape(-1, length)
