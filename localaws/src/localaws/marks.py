"""Marks beside the databases of a data folder: which files belong together, and how new they are.

A database that is missing, empty, exchanged or without its log looks like a whole one to SQLite.
The file ``services.db-mark`` beside ``services.db`` repeats two facts that the database holds, the
id of the data and how often its log was begun, and names the databases that it was used with.
"""

import json
import os
import sqlite3
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from localaws.errors import DataUnusable

SUFFIX: Final = "-mark"
_ADVICE: Final = "Restore the whole folder from a backup, or delete its data (--fresh)"


@dataclass(frozen=True)
class Mark:
    """The identity of a database."""

    data_id: str
    """The same in all databases of a data folder."""
    logs: int
    """How often a log was begun whose first change was acknowledged."""
    partners: tuple[str, ...] = ()
    """The names of the databases that it was used with."""
    start: int = 0
    """How often it was used with them."""
    previous_start: int | None = None
    """The partners' ``start``, while the marks of a start are being written."""

    def write(self, database: Path) -> None:
        """Write the mark beside a database in one step.

        Raises:
            OSError: it cannot be written.
        """
        path = _path(database)
        unfinished = path.with_name(f"{path.name}.new")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


def check_presence(database: Path) -> None:
    """Check that a database is there if it ever was.

    Raises:
        DataUnusable: the file is missing or empty, and its mark, its log or another database says
            that it had data.
    """
    if database.exists() and database.stat().st_size > 0:
        return
    log = Path(f"{database}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    if has_log or _read(_path(database)) is not None or _is_missed(database):
        raise DataUnusable(f"{database} is missing or empty, though it had data. {_ADVICE}")


def identify(connection: sqlite3.Connection, database: Path) -> Mark:
    """Return the mark of an open database, which gets one if it has none.

    Raises:
        DataUnusable: the database does not belong to the others in its folder, or data that was
            acknowledged is not in it.
    """
    others = _others(database)
    found = connection.execute("SELECT name FROM sqlite_master WHERE name = 'mark'").fetchone()
    if found is None:  # the database is new, or of a former version
        if _is_missed(database):
            raise DataUnusable(f"{database} was replaced by another file. {_ADVICE}")
        data_id = next((mark.data_id for mark in others.values()), None) or str(uuid.uuid4())
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE mark (data_id TEXT NOT NULL, logs INTEGER NOT NULL)")
        connection.execute("INSERT INTO mark VALUES (?, 0)", (data_id,))
        connection.execute("COMMIT")
    mark = Mark(*connection.execute("SELECT data_id, logs FROM mark").fetchone())
    noted = _read(_path(database)) or mark
    for path, other in [*others.items(), (database, noted)]:
        if other.data_id != mark.data_id:
            raise DataUnusable(f"{database} and {path} are of different data folders. {_ADVICE}")
        if not _are_of_one_start(noted, other):
            raise DataUnusable(f"{database} and {path} are of different times. {_ADVICE}")
    if mark.logs < noted.logs:
        raise DataUnusable(
            f"{database} lacks the last changes: its log {database.name}-wal was deleted, or it is"
            f" older than the rest of the folder. {_ADVICE}"
        )
    return replace(noted, logs=mark.logs)


def count_start(first: Path, second: Path) -> None:
    """Note that two databases are used together, so that neither can be exchanged alone.

    The process may be killed between two marks. Until the end, the first one fits both the former
    and the new mark of the second.

    Raises:
        OSError: a mark cannot be written.
    """
    mark, other = _read(_path(first)), _read(_path(second))
    if mark is None or other is None:  # somebody has just removed it
        return
    start = 1 + max(mark.start, other.start)
    mark = replace(mark, partners=(second.name,), start=start, previous_start=other.start)
    mark.write(first)
    replace(other, partners=(first.name,), start=start, previous_start=None).write(second)
    replace(mark, previous_start=None).write(first)


def count_log(connection: sqlite3.Connection, database: Path) -> None:
    """Count a log that was begun, in the database and in its mark.

    Raises:
        sqlite3.Error: the database cannot be written.
        OSError: the mark cannot be written.
    """
    connection.execute("UPDATE mark SET logs = logs + 1")
    data_id, logs = connection.execute("SELECT data_id, logs FROM mark").fetchone()
    replace(_read(_path(database)) or Mark(data_id, logs), logs=logs).write(database)


def touch(connection: sqlite3.Connection) -> None:
    """Write something that changes nothing."""
    connection.execute("UPDATE mark SET logs = logs")


def _are_of_one_start(mark: Mark, other: Mark) -> bool:
    starts = {mark.start, mark.previous_start} & {other.start, other.previous_start}
    return bool(starts - {None}) or 0 in (mark.start, other.start)


def _is_missed(database: Path) -> bool:
    """Return whether another database of the folder was used with this one."""
    return any(database.name in mark.partners for mark in _others(database).values())


def _others(database: Path) -> dict[Path, Mark]:
    """Return the marks of the other databases in the folder, by the marks' paths."""
    paths = [path for path in database.parent.glob(f"*.db{SUFFIX}") if path != _path(database)]
    return {path: mark for path in paths if (mark := _read(path)) is not None}


def _path(database: Path) -> Path:
    return Path(f"{database}{SUFFIX}")


def _read(path: Path) -> Mark | None:
    """Read a mark; None if it is missing or damaged: no data is lost with it."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        return Mark(**{**content, "partners": tuple(content["partners"])})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
