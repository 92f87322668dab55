"""Exact nearest-neighbour search over unit vectors."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)

_FIRST_CAPACITY: Final = 64


class Neighbour(NamedTuple):
    """A stored vector, and the cosine of its angle with the one searched for."""

    key: int
    cosine: float


class VectorIndex:
    """Vectors under integer keys, in one contiguous float32 matrix.

    The matrix grows by doubling. A deleted row is overwritten by the last one, so nothing is
    rebuilt and no row is unused. Not safe to share between threads.
    """

    def __init__(self, length: int) -> None:
        self._matrix: NDArray[np.float32] = np.empty((_FIRST_CAPACITY, length), np.float32)
        self._keys: NDArray[np.int64] = np.empty(_FIRST_CAPACITY, np.int64)
        self._rows: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: int) -> NDArray[np.float32]:
        """Return a copy of the vector stored under a key."""
        vector: NDArray[np.float32] = self._matrix[self._rows[key]].copy()
        return vector

    def add(self, key: int, vector: NDArray[np.float32]) -> None:
        """Store a unit vector under a new key."""
        row = len(self._rows)
        if row == len(self._keys):
            self._matrix = _doubled(self._matrix)
            self._keys = _doubled(self._keys)
        self._matrix[row] = vector
        self._keys[row] = key
        self._rows[key] = row

    def remove(self, keys: Iterable[int]) -> None:
        """Forget the vectors stored under some keys."""
        for key in keys:
            row = self._rows.pop(key)
            last = len(self._rows)
            if row != last:
                moved = int(self._keys[last])
                self._matrix[row] = self._matrix[last]
                self._keys[row] = moved
                self._rows[moved] = row

    def search(self, vector: NDArray[np.float32], limit: int) -> Iterator[Neighbour]:
        """Yield the stored vectors nearest to a unit vector, best first, at most ``limit``.

        The index must not change while the result is read.
        """
        count = len(self._rows)
        cosines = self._matrix[:count] @ vector
        if limit < count:
            rows = np.argpartition(cosines, count - limit)[count - limit :]
        else:
            rows = np.arange(count)
        rows = rows[np.argsort(-cosines[rows], kind="stable")]
        for row in rows:
            yield Neighbour(int(self._keys[row]), float(cosines[row]))


def _doubled(array: NDArray[Scalar]) -> NDArray[Scalar]:
    grown = np.empty((2 * len(array), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
