"""SQLite's write-ahead log, read to notice what SQLite itself keeps silent about.

Source: "The WAL File Format" in https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from localaws.errors import damaged

_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = struct.Struct(">6I")


def path_of(database: Path) -> Path:
    """Return the path of a database's log."""
    return Path(f"{database}-wal")


def beginning(database: Path) -> bytes:
    """Return the header of a log, which is another one whenever SQLite begins the log again."""
    with path_of(database).open("rb") as log:
        return log.read(_HEADER.size)


def check(path: Path, connection: sqlite3.Connection) -> None:
    """Compare the write-ahead log with the frames that SQLite has recovered from it.

    A killed process leaves at most the frames of its last transaction behind the recovered ones.
    If a whole transaction follows the recovered frames and another one begins behind it, the first
    had been acknowledged, and SQLite missed it only because the log is damaged.

    Raises:
        DataUnusable: the log is damaged.
    """
    log = path_of(path)
    content = log.read_bytes() if log.exists() else b""
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    _, recovered, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if len(content) < _HEADER.size:
        return
    header = _HEADER.unpack_from(content)
    if _checksum(header[:6], header[0] & 1) != header[6:]:
        raise damaged(log, "its header")
    size = _FRAME_HEADER.size + page_size
    ended = False
    for start in range(_HEADER.size + recovered * size, len(content) - size + 1, size):
        _, commit, *salts = _FRAME_HEADER.unpack_from(content, start)[:4]
        if tuple(salts) != header[4:6]:  # a frame from before the log was last restarted
            continue
        if ended:
            raise damaged(log, f"frame {recovered + 1}")
        ended = commit != 0


def _checksum(words: Sequence[int], big_endian: int) -> tuple[int, int]:
    """Return SQLite's checksum of words, which SQLite reads in the writer's byte order."""
    if not big_endian:
        words = struct.unpack(f"<{len(words)}I", struct.pack(f">{len(words)}I", *words))
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
