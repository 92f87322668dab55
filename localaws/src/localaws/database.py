"""Data on disk: tables in a SQLite file.

SQLite's write-ahead log is the journal. SQLite only appends to it, puts a checksum on every frame,
recognises and drops a torn end, and moves the content into the main file as the log grows. This
module adds two things: many threads share one fsync, and damage in the middle of the log is an
error, where SQLite would drop every frame behind the damage.
"""

import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from localaws import marks, write_ahead_log
from localaws.errors import DataNotStored, DataUnusable, damaged
from localaws.outage import Outage, try_to_write

T = TypeVar("T")
Change = Callable[[sqlite3.Connection], T]
"""Changes the database in a transaction that it may share with others; an exception undoes it."""

Row = tuple[Any, ...]
Statement = tuple[str, Row]
"""SQL, and the values of its question marks."""

_QUIET: Final = 2.0
"""The log is emptied after this many seconds without a change."""
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

    Raises:
        DataUnusable: the file is damaged, or another program wrote it.
    """

    def __init__(self, path: Path | None, schema: str, written_by: str) -> None:
        self.path = path
        self._outage = Outage(path)
        self._undo: list[Callable[[], None]] = []
        """Takes back what the changes of the open transaction did in memory."""
        self._counted_log = b""
        self._files: dict[Path, tuple[int, int]] = {}
        """The open files, by name: their devices and numbers."""
        self._waiting: queue.SimpleQueue[_Write[Any] | None] = queue.SimpleQueue()
        self._reading = threading.RLock()
        self._closed = False
        try:
            if path is not None:
                marks.check_presence(path)
            self._writer, self._reader = _connect(path)
            if path is not None:
                write_ahead_log.check(path, self._writer)
            self._make_tables(schema, written_by)
            if path is not None:
                marks.check_identity(self._writer, path)
                marks.count_log(self._writer, path)
                marks.introduce(path)
                files = path, write_ahead_log.path_of(path)
                self._files = {file: _identity(file) for file in files}
        except (sqlite3.DatabaseError, OSError) as error:
            raise _unusable(path, error) from error
        self._thread = threading.Thread(target=self._keep_writing, name="database", daemon=True)
        if path is not None:
            self._thread.start()

    def _make_tables(self, schema: str, written_by: str) -> None:
        tables = self.read("SELECT name FROM sqlite_master")
        if not tables:
            mark = f"INSERT INTO written_by VALUES ('{written_by}')"  # noqa: S608 - a constant
            identity = marks.schema(self.path) if self.path is not None else ""
            statements = f"{_MARK_SCHEMA}; {mark}; {schema}; {identity}"
            self._writer.executescript(f"BEGIN; {statements}; COMMIT")
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
            DataNotStored: the disk does not take the change, and nothing is changed.
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

    def if_undone(self, restore: Callable[[], None]) -> None:
        """Let a change say how to take back what it does in memory, in case it is not stored.

        Args:
            restore: called by the thread that makes the changes, before it makes other ones.
        """
        self._undo.append(restore)

    def check_room(self, size: int = 0) -> None:
        """Check that a change can be stored, if the last one could not.

        Args:
            size: of the change, in bytes.

        Raises:
            DataNotStored: it cannot be stored.
        """
        if self.path is None or not self._outage.is_on:
            return
        error = try_to_write(self.path.parent, size)
        if error is not None:
            raise DataNotStored(f"{self.path} cannot be written ({error.strerror})")
        self.write(marks.touch)

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
        return not busy

    def _make_changes(self, writes: Sequence["_Write[Any]"]) -> None:
        """Make changes in one transaction: all of them are stored, or none."""
        changes = self._writer.total_changes
        try:
            self._check_files()
            self._writer.execute("BEGIN IMMEDIATE")
            for write in writes:
                write.run(self._writer, self._undo)
            self._writer.execute("COMMIT")
        except Exception as error:  # a full disk, for example
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            _take_back(self._undo, 0)
            self._refuse(writes, error)
        else:
            self._undo.clear()
            if self._writer.total_changes != changes:
                self._outage.end()
                self._count_log()
        for write in writes:
            write.done.release()

    def _check_files(self) -> None:
        """Check that the open files still have their names: with them, changes would be lost.

        Raises:
            DataNotStored: a file was removed or replaced.
        """
        for path, identity in self._files.items():
            try:
                found = _identity(path)
            except OSError as error:
                raise DataNotStored(f"{path} is gone: {error.strerror}") from error
            if found != identity:
                raise DataNotStored(f"{path} was replaced by another file")

    def _refuse(self, writes: Sequence["_Write[Any]"], error: Exception) -> None:
        """Let all writes fail, each with an error of its own: threads raise them at once."""
        reason = _reason(self.path, error)
        self._outage.begin(reason)
        for write in writes:
            write.error = DataNotStored(f"{self.path} cannot be written ({reason})")

    def _count_log(self) -> None:
        """Note that a log was begun, before its first change is acknowledged."""
        if self.path is None:
            return
        with contextlib.suppress(sqlite3.Error, OSError):  # the next change tries it again
            if write_ahead_log.beginning(self.path) != self._counted_log:
                marks.count_log(self._writer, self.path)
                self._counted_log = write_ahead_log.beginning(self.path)

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

    def run(self, connection: sqlite3.Connection, undo: list[Callable[[], None]]) -> None:
        """Make the change; on an exception undo it, and keep the exception for ``outcome``.

        Args:
            connection: with an open transaction.
            undo: the change may add functions that take back its effects in memory.

        Raises:
            sqlite3.DatabaseError: the disk is full, for example.
        """
        begun = len(undo)
        connection.execute("SAVEPOINT change")
        try:
            self._results.append(self._change(connection))
        except Exception as error:
            is_own = not isinstance(error, sqlite3.DatabaseError)
            if not (is_own or isinstance(error, sqlite3.IntegrityError)):
                raise
            self.error = error
            connection.execute("ROLLBACK TO change")
            _take_back(undo, begun)
        connection.execute("RELEASE change")

    def outcome(self) -> T:
        """Wait until the change is on disk, and return its result."""
        with self.done:
            pass
        if self.error is not None:
            raise self.error
        return self._results[0]


def _take_back(undo: list[Callable[[], None]], begun: int) -> None:
    while len(undo) > begun:
        undo.pop()()


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _reason(path: Path | None, error: Exception) -> str:
    """Return the reason of an error, in the words of the system rather than those of SQLite."""
    if path is not None and isinstance(error, sqlite3.Error):
        trial = try_to_write(path.parent)
        if trial is not None:
            return str(trial.strerror)
    return str(getattr(error, "strerror", None) or error)


def _unusable(path: Path | None, error: sqlite3.DatabaseError | OSError) -> DataUnusable:
    """Return the error for a file that cannot be opened."""
    name = getattr(error, "sqlite_errorname", "")
    if isinstance(error, OSError) or name.startswith(_NOT_DAMAGED):
        return DataUnusable(
            f"{path} cannot be opened ({_reason(path, error)}). Its data is not damaged: check the"
            " free space and the permissions, and start again."
        )
    return damaged(path, str(error))


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
    writer.execute("PRAGMA temp_store = MEMORY")  # no change fails because /tmp is full
    return writer, _open(str(path))


def _open(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
