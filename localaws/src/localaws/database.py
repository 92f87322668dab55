"""Data on disk: tables in a SQLite file.

SQLite's write-ahead log is the journal. SQLite only appends to it, puts a checksum on every frame,
recognises and drops a torn end, and moves the content into the main file as the log grows. This
module adds two things: many threads share one fsync, and damage in the middle of the log is an
error, where SQLite would drop every frame behind the damage.
"""

import contextlib
import logging
import os
import queue
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from localaws import marks
from localaws.errors import DataNotStored, DataUnusable

logger = logging.getLogger(__name__)

T = TypeVar("T")
Change = Callable[[sqlite3.Connection], T]
"""Changes the database in a transaction that it may share with others; an exception undoes it."""

Row = tuple[Any, ...]
Statement = tuple[str, Row]
"""SQL, and the values of its question marks."""

_QUIET: Final = 2.0
"""The log is emptied after this many seconds without a change."""
_TRIAL_BYTES: Final = 1024 * 1024
_MARK_SCHEMA: Final = "CREATE TABLE written_by (name TEXT NOT NULL)"
# Errors of the disk and of other processes: https://www.sqlite.org/rescode.html
_NOT_DAMAGED: Final = (
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_PERM",
)
# https://www.sqlite.org/fileformat2.html#the_write_ahead_log
_LOG_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = struct.Struct(">6I")


@dataclass
class UnitOfWork:
    """The changes of one request, which one transaction writes.

    It is in effect during the request, see :data:`unit_of_work`.
    """

    statements: list[Statement] = field(default_factory=list)
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    """Called when the transaction is on disk."""


unit_of_work: ContextVar[UnitOfWork | None] = ContextVar("unit_of_work", default=None)
"""The unit of work of the current request; None where changes are written one by one."""


class Database:
    """Tables in a file; without a file, for as long as the process lives.

    Threads can share a database. One fsync writes the changes of all threads that wait for the
    file, and ``write`` returns after it.

    Args:
        path: the file, which is made if it is missing; None for a temporary one, of which SQLite
            keeps little in memory.
        schema: the statements that make the tables.
        written_by: names the format of the data; a file with another name is refused.
        on_loss: called when changes could not be stored, to make the memory of the caller equal to
            the file again. It is called between two changes. None makes the database refuse all
            later changes until :meth:`resume`.

    Raises:
        DataUnusable: the file is damaged, or another program wrote it.
    """

    def __init__(
        self,
        path: Path | None,
        schema: str,
        written_by: str,
        on_loss: Callable[[], None] | None = None,
    ) -> None:
        self.path = path
        self.failed = False
        """Whether changes are refused until :meth:`resume`."""
        self._on_loss = on_loss
        self._is_out_of_order = False
        self._log_is_counted = False
        self._waiting: queue.SimpleQueue[_Write[Any] | None] = queue.SimpleQueue()
        self._reading = threading.RLock()
        self._closed = False
        try:
            if path is not None:
                marks.check_presence(path)
            self._writer, self._reader = _connect(path)
            if path is not None:
                _check_log(path, self._writer)
            self._make_tables(schema, written_by)
            if path is not None:
                marks.identify(self._writer, path).write(path)
        except (sqlite3.DatabaseError, OSError) as error:
            raise _unusable(path, error) from error
        self._thread = threading.Thread(target=self._keep_writing, name="database", daemon=True)
        if path is not None:
            self._thread.start()

    def _make_tables(self, schema: str, written_by: str) -> None:
        tables = self.read("SELECT name FROM sqlite_master")
        if not tables:
            mark = f"INSERT INTO written_by VALUES ('{written_by}')"  # noqa: S608 - a constant
            self._writer.executescript(f"BEGIN; {_MARK_SCHEMA}; {mark}; {schema}; COMMIT")
        elif (found := self.read("SELECT name FROM written_by")) != [(written_by,)]:
            by = found[0][0] if found else "an unknown program"
            raise DataUnusable(f"{self.path} was written by {by}; this is {written_by}")

    def read(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query. They include every ``write`` that has returned."""
        with self._reading:
            return self._reader.execute(statement, parameters).fetchall()

    def scan(self, statement: str) -> Iterator[Row]:
        """Yield the rows of a query one by one. Other threads wait until the end of the query."""
        with self._reading:
            try:
                yield from self._reader.execute(statement)
            except sqlite3.DatabaseError as error:
                raise damaged(self.path, str(error)) from error

    def check(self, *tables: str) -> None:
        """Check the structure of tables.

        Raises:
            DataUnusable: a table is damaged.
        """
        for table in tables:
            for (found,) in self.scan(f"PRAGMA quick_check({table})"):
                if found != "ok":
                    raise damaged(self.path, found)

    def write(self, change: Change[T]) -> T:
        """Make a change, and return its result when it is on disk.

        Changes are made one after the other, in the order of the calls.

        Raises:
            Exception: the change raised it, and nothing is changed.
        """
        return self.submit(change)()

    def submit(self, change: Change[T]) -> Callable[[], T]:
        """Queue a change, and return a function that waits for it as ``write`` does."""
        mine: _Write[T] = _Write(change)
        if self.path is None:  # there is no disk to wait for
            with self._reading:
                self._make_changes([mine])
            return mine.outcome
        self._waiting.put(mine)
        if self._closed:
            self._refuse_changes()
        return mine.outcome

    def _keep_writing(self) -> None:
        """Make the waiting changes together, again and again, until the database is closed."""
        going_on, is_logged = True, False
        while going_on:
            try:
                waiting = [self._waiting.get(timeout=_QUIET if is_logged else None)]
            except queue.Empty:
                is_logged = not self._empty_log()
                continue
            is_logged = True
            with contextlib.suppress(queue.Empty):
                while True:
                    waiting.append(self._waiting.get_nowait())
            self._make_changes([write for write in waiting if write is not None])
            going_on = None not in waiting

    def _empty_log(self) -> bool:
        """Empty the log, which still holds deleted data; return False to try again later."""
        try:
            busy, *_ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:  # a full disk, for example; the next change leads here again
            return True
        if not busy:
            self._log_is_counted = False
        return not busy

    def _make_changes(self, writes: Sequence["_Write[Any]"]) -> None:
        """Make changes in one transaction: all of them are stored, or none."""
        try:
            if self.failed:
                raise DataNotStored(f"{self.path}: an earlier change could not be stored")
            self._writer.execute("BEGIN IMMEDIATE")
            for write in writes:
                write.run(self._writer)
            begun = None if self._log_is_counted else self._count_log()
            self._writer.execute("COMMIT")
            if begun is not None and self.path is not None:
                self._note_log(begun, self.path)
            self._say_that_it_works()
        except Exception as error:  # a full disk, for example
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            refused = self._lose(error)
            for write in writes:
                write.error = refused
        for write in writes:
            write.done.release()

    def _count_log(self) -> marks.Mark | None:
        return marks.begin_log(self._writer) if self.path is not None else None

    def _note_log(self, mark: marks.Mark, path: Path) -> None:
        """Write the mark before the first change of a log is acknowledged."""
        with contextlib.suppress(OSError):  # the next change tries it again
            mark.write(path)
            self._log_is_counted = True

    def _lose(self, error: Exception) -> DataNotStored:
        """Undo what the lost changes have done in memory, and return the error for them."""
        if isinstance(error, DataNotStored):
            return error
        if not self._is_out_of_order:
            logger.error("%s cannot be written (%s): changes are refused", self.path, error)
        self._is_out_of_order = True
        if self._on_loss is not None:
            self._on_loss()
        else:
            self.failed = True
        return DataNotStored(f"{self.path} cannot be written ({error}): nothing was changed")

    def _say_that_it_works(self) -> None:
        if self._is_out_of_order:
            logger.error("%s can be written again", self.path)
            self._is_out_of_order = False

    def try_to_write(self) -> None:
        """Try whether the disk takes anything, without changing the data.

        Raises:
            DataNotStored: it does not.
        """
        if self.path is None:
            return
        trial = self.path.with_name(f"{self.path.name}-trial")
        try:
            with open(trial, "wb") as file:
                file.write(bytes(_TRIAL_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataNotStored(f"{self.path} cannot be written ({error.strerror})") from error
        finally:
            with contextlib.suppress(OSError):
                trial.unlink()

    def resume(self) -> None:
        """Make changes again, after the memory of the caller has become equal to the file."""
        self.failed = False

    def close(self) -> None:
        """Make the queued changes, and close the file. Later changes fail."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()
        self._closed = True
        self._refuse_changes()
        with self._reading:
            self._reader.close()
            self._writer.close()

    def _refuse_changes(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                late = self._waiting.get_nowait()
                if late is not None:
                    late.error = RuntimeError(f"{self.path} is closed")
                    late.done.release()


class _Write(Generic[T]):
    """A queued change, and later its result or its error."""

    def __init__(self, change: Change[T]) -> None:
        self.done = threading.Lock()
        """Held until the change is on disk."""
        self.done.acquire()
        self.error: Exception | None = None
        self._change = change
        self._results: list[T] = []

    def run(self, connection: sqlite3.Connection) -> None:
        """Make the change; on an exception undo it, and keep the exception for ``outcome``.

        Raises:
            sqlite3.OperationalError: the disk is full, for example.
        """
        connection.execute("SAVEPOINT change")
        try:
            self._results.append(self._change(connection))
        except sqlite3.OperationalError:
            raise
        except Exception as error:
            self.error = error
            connection.execute("ROLLBACK TO change")
        connection.execute("RELEASE change")

    def outcome(self) -> T:
        """Wait until the change is on disk, and return its result."""
        with self.done:
            pass
        if self.error is not None:
            raise self.error
        return self._results[0]


def _unusable(path: Path | None, error: sqlite3.DatabaseError | OSError) -> DataUnusable:
    """Return the error for a file that cannot be opened."""
    name = getattr(error, "sqlite_errorname", "")
    if isinstance(error, OSError) or name.startswith(_NOT_DAMAGED):
        return DataUnusable(
            f"{path} cannot be opened ({error}). Its data is not damaged: check the free space and"
            " the permissions, and start again."
        )
    return damaged(path, str(error))


def damaged(path: Path | None, reason: str) -> DataUnusable:
    """Return the error for a file whose content is not the content that was written."""
    return DataUnusable(f"{path} is damaged ({reason})")


def _connect(path: Path | None) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Return a connection to write and one to read; without a file they are the same."""
    if path is None:
        connection = _open("")
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        return connection, connection
    # SQLite gives the log and its index the permissions of the file.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    writer = _open(str(path))
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA synchronous = FULL")
    # Deleted data is overwritten, so that nothing of a forgotten face stays in the file.
    writer.execute("PRAGMA secure_delete = ON")
    return writer, _open(str(path))


def _open(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _check_log(path: Path, connection: sqlite3.Connection) -> None:
    """Compare the write-ahead log with the frames that SQLite has recovered from it.

    A killed process leaves at most the frames of its last transaction behind the recovered ones.
    If a whole transaction follows the recovered frames and another one begins behind it, the first
    had been acknowledged, and SQLite missed it only because the log is damaged.

    Raises:
        DataUnusable: the log is damaged.
    """
    log = Path(f"{path}-wal")
    content = log.read_bytes() if log.exists() else b""
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    _, recovered, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if len(content) < _LOG_HEADER.size:
        return
    header = _LOG_HEADER.unpack_from(content)
    if _checksum(header[:6], header[0] & 1) != header[6:]:
        raise damaged(log, "its header")
    size = _FRAME_HEADER.size + page_size
    ended = False
    for start in range(_LOG_HEADER.size + recovered * size, len(content) - size + 1, size):
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
