"""Measure the speed and the memory of the vector index; a part of ``bench.faces``."""

import itertools
import math
import multiprocessing
import os
import resource
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.peers import FaissIndex, NotInstalled
from bench.tables import print_table
from bench.timing import time_in_turn
from localaws.rekognition.engine import VECTOR_LENGTH
from localaws.rekognition.vectors import VectorIndex

Vectors: TypeAlias = NDArray[np.float32]

PROCESSORS = os.cpu_count() or 1
NEAREST = 10


def search(rounds: int, largest: int) -> None:
    """Measure a search, compared with reading all vectors once and with faiss's exact index.

    Args:
        rounds: minimum number of repetitions.
        largest: number of vectors in the largest index.
    """
    print(
        f"\nsearch: the {NEAREST} nearest, ms; reading and faiss in the better of 1 thread, all\n"
    )
    rows = [["vectors", "ours", "reading once", "faiss", "ours vs. reading", "ours vs. faiss"]]
    for count in (10_000, 100_000, 1_000_000):
        if count <= largest:
            times = _time_search(count, max(rounds, 500_000 // count))
            milliseconds = (f"{seconds * 1000:.2f}" for seconds in times)
            ratios = (f"{times[0] / seconds:.2f}" for seconds in times[1:])
            rows.append([str(count), *milliseconds, *ratios])
    print_table(rows, "search")


def _time_search(count: int, rounds: int) -> list[float]:
    """Return the seconds of our search, of reading the memory once, and of faiss's search.

    The last value is NaN if faiss is not installed.
    """
    index = VectorIndex(VECTOR_LENGTH)
    vectors = np.empty((count, VECTOR_LENGTH), np.float32)
    for row, vector in enumerate(_random_vectors(count)):
        index.add(row, vector)
        vectors[row] = vector
    query = vectors[count // 2]
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: [found.key for found in index.search(query, NEAREST)],
        "reading": lambda: _read_once(vectors, 1),
        "reading by all": lambda: _read_once(vectors, PROCESSORS),
    }
    try:
        faiss = FaissIndex(vectors)
        contenders["faiss"] = lambda: faiss.search(query, NEAREST, threads=1)
        contenders["faiss by all"] = lambda: faiss.search(query, NEAREST, threads=PROCESSORS)
        assert contenders["ours"]() == contenders["faiss"]()
    except NotInstalled as error:
        print(f"faiss is skipped: {error}")
    times = time_in_turn(contenders, rounds)
    return [
        min((times[name] for name in contenders if name.startswith(kind)), default=math.nan)
        for kind in ("ours", "reading", "faiss")
    ]


def _read_once(vectors: Vectors, threads: int) -> None:
    """Read the memory in numpy's fastest way: sum up its 64-bit words."""
    words = np.array_split(vectors.view(np.int64).ravel(), threads)
    if threads == 1:
        np.add.reduce(words[0])
    else:
        list(_READERS.map(np.add.reduce, words))


_READERS = ThreadPoolExecutor(PROCESSORS)


def memory(largest: int) -> None:
    """Measure the peak memory of indexes of two sizes, each in a new process.

    Args:
        largest: the sizes are 10 % and 55 % of this number of vectors. Of 1,000,000, 55 % is just
            after the matrix has doubled.
    """
    print("\nmemory: the peak of an index while vectors are added one by one\n")
    rows = [["vectors", "MB", "bytes per vector", "vs. the vectors alone"]]
    for count in (largest // 10, largest // 2 + largest // 20):
        with multiprocessing.get_context("spawn").Pool(1) as process:
            peak = process.apply(_measure_peak, (count,))
        each = peak / count
        rows.append(
            [str(count), f"{peak / 1e6:.0f}", f"{each:.0f}", f"{each / 4 / VECTOR_LENGTH:.2f}"]
        )
    print_table(rows, "memory")


def _measure_peak(count: int) -> int:
    """Return by how many bytes the peak memory of this process grows when vectors are added."""
    index = VectorIndex(VECTOR_LENGTH)
    for _ in itertools.islice(_random_vectors(count), 1000):
        pass
    before = _peak_bytes()
    for key, vector in enumerate(_random_vectors(count)):
        index.add(key, vector)
    return _peak_bytes() - before


def _peak_bytes() -> int:
    """Return the peak memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if not status.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    # On Linux, getrusage includes the memory of the parent process at the time of the fork.
    lines = status.read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) * 1024


def _random_vectors(count: int) -> Iterator[Vectors]:
    random = np.random.default_rng(0)
    for start in range(0, count, 1000):
        size = (min(1000, count - start), VECTOR_LENGTH)
        block = random.standard_normal(size, np.float32)
        yield from block / np.linalg.norm(block, axis=1, keepdims=True)
