"""Exact nearest-neighbour search over unit vectors."""

import mmap
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_FIRST_CAPACITY: Final = 64
_COPY_BLOCK_BYTES: Final = 16 * 1024 * 1024


class Neighbour(NamedTuple):
    """The key of a stored vector, and the cosine of its angle with the query vector."""

    key: int
    cosine: float


class VectorIndex:
    """Vectors under integer keys, in one contiguous float32 matrix.

    The matrix grows by doubling. Rows that were never written take no memory. Deleting a vector
    moves one of the last rows into its place, so the rows stay contiguous. Looking up a key scans
    all keys, a 64th of the size of the matrix; for a million vectors this takes less than a
    millisecond. A dictionary would need a fifth more memory. Not safe to share between threads.

    Args:
        length: number of dimensions of each vector.
    """

    def __init__(self, length: int) -> None:
        self._count = 0
        self._keys: NDArray[np.int64] = np.empty(_FIRST_CAPACITY, np.int64)
        self._memory = _allocate(_FIRST_CAPACITY * length * np.dtype(np.float32).itemsize)
        self._matrix = _matrix(self._memory, length)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, key: int) -> NDArray[np.float32]:
        """Return a copy of the vector with a key.

        Raises:
            KeyError: the index has no such key.
        """
        (rows,) = np.nonzero(self._keys[: self._count] == key)
        if not rows.size:
            raise KeyError(key)
        vector: NDArray[np.float32] = self._matrix[rows[0]].copy()
        return vector

    def add(self, key: int, vector: NDArray[np.float32]) -> None:
        """Add a vector of length 1 under a new key."""
        if self._count == len(self._keys):
            self._grow()
        self._matrix[self._count] = vector
        self._keys[self._count] = key
        self._count += 1

    def remove(self, keys: Collection[int]) -> dict[int, NDArray[np.float32]]:
        """Remove the vectors with these keys, and return them. Unknown keys are ignored."""
        removed = np.isin(self._keys[: self._count], np.fromiter(keys, np.int64, len(keys)))
        found = dict(
            zip(
                self._keys[: self._count][removed].tolist(),
                self._matrix[: self._count][removed],
                strict=True,
            )
        )
        left = self._count - int(np.count_nonzero(removed))
        (gaps,) = np.nonzero(removed[:left])
        last = left + np.flatnonzero(~removed[left:])
        self._matrix[gaps] = self._matrix[last]
        self._keys[gaps] = self._keys[last]
        self._count = left
        return found

    def search(self, vector: NDArray[np.float32], limit: int) -> Iterator[Neighbour]:
        """Yield the stored vectors nearest to a query vector of length 1, nearest first.

        The search is exact. Do not change the index while reading the result.

        Args:
            vector: the query, shape (length,).
            limit: the maximum number of results.
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
        """Double the capacity. Copy block by block, so that the data is never in memory twice."""
        larger = _allocate(2 * len(self._memory))
        source, target = (np.frombuffer(memory, np.uint8) for memory in (self._memory, larger))
        for start in range(0, len(source), _COPY_BLOCK_BYTES):
            part = source[start : start + _COPY_BLOCK_BYTES]
            target[start : start + len(part)] = part
            self._memory.madvise(mmap.MADV_DONTNEED, start, len(part))
        self._memory, self._matrix = larger, _matrix(larger, self._matrix.shape[1])
        self._keys = np.concatenate([self._keys, np.empty_like(self._keys)])


def _allocate(size: int) -> mmap.mmap:
    """Return memory that takes no space until it is written, in huge pages where available."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _matrix(memory: mmap.mmap, length: int) -> NDArray[np.float32]:
    return np.frombuffer(memory, np.float32).reshape(-1, length)
