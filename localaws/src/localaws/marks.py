"""Marks beside the databases of a data folder: which files belong together, and how new they are.

A database that is missing, empty, exchanged or without its log looks like a whole one to SQLite.
The file ``services.db-mark`` beside ``services.db`` repeats two facts that the database holds: the
id of the data, which all databases of a folder share, and how often the log has been begun.
"""

import json
import os
import sqlite3
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localaws.errors import DataUnusable

SUFFIX: Final = "-mark"
_ADVICE: Final = "Restore the whole folder from a backup, or delete its data with --fresh."


@dataclass(frozen=True)
class Mark:
    """The identity of a database."""

    data_id: str
    """The same in all databases of a data folder."""
    logs: int
    """How often a log was begun whose first transaction was acknowledged."""

    def write(self, database: Path) -> None:
        """Write the mark beside a database in one step.

        Raises:
            OSError: it cannot be written.
        """
        path = _path(database)
        unfinished = path.with_name(f"{path.name}.new")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            json.dump({"id": self.data_id, "logs": self.logs}, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


def check_presence(database: Path) -> None:
    """Check that a database is there if it ever was.

    Raises:
        DataUnusable: the file is missing or empty, and its mark or its log says that it had data.
    """
    log = Path(f"{database}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    if database.exists() and database.stat().st_size > 0:
        return
    if has_log or _read(_path(database)) is not None:
        raise DataUnusable(f"{database} is missing or empty, though it had data. {_ADVICE}")


def identify(connection: sqlite3.Connection, database: Path) -> Mark:
    """Return the mark of an open database, which gets one if it has none.

    Raises:
        DataUnusable: the database does not belong to the others in its folder, or data that was
            acknowledged is not in it.
    """
    others = {
        mark.data_id: path
        for path in database.parent.glob(f"*.db{SUFFIX}")
        if path != _path(database) and (mark := _read(path)) is not None
    }
    found = connection.execute("SELECT name FROM sqlite_master WHERE name = 'mark'").fetchone()
    if found is None:  # the database is new, or of a former version
        data_id = next(iter(others), None) or str(uuid.uuid4())
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE mark (data_id TEXT NOT NULL, logs INTEGER NOT NULL)")
        connection.execute("INSERT INTO mark VALUES (?, 0)", (data_id,))
        connection.execute("COMMIT")
    mark = Mark(*connection.execute("SELECT data_id, logs FROM mark").fetchone())
    noted = _read(_path(database)) or mark
    for data_id, path in [*others.items(), (noted.data_id, _path(database))]:
        if data_id != mark.data_id:
            raise DataUnusable(f"{database} and {path} are of different data folders. {_ADVICE}")
    if mark.logs < noted.logs:
        raise DataUnusable(
            f"{database} lacks the last changes: its log {database.name}-wal was deleted, or it is"
            f" older than the rest of the folder. {_ADVICE}"
        )
    return mark


def begin_log(connection: sqlite3.Connection) -> Mark:
    """Count a log that begins with the current transaction, and return the mark to write."""
    connection.execute("UPDATE mark SET logs = logs + 1")
    return Mark(*connection.execute("SELECT data_id, logs FROM mark").fetchone())


def _path(database: Path) -> Path:
    return Path(f"{database}{SUFFIX}")


def _read(path: Path) -> Mark | None:
    """Read a mark; None if it is missing or damaged: no data is lost with it."""
    try:
        content = json.loads(path.read_text())
        return Mark(str(content["id"]), int(content["logs"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
