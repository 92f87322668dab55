"""Marks beside the databases of a data folder: which files belong together, and how new they are.

A database that is missing, empty, exchanged or without its log looks like a whole one to SQLite.
The file ``services.db-mark`` beside ``services.db`` repeats two facts that the database holds, the
id of the data and the number of its logs, and names the other databases with the numbers of theirs.
Whatever the marks know is on disk before, so a process may be killed at any moment.
"""

import json
import os
import sqlite3
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from localaws.errors import RESTORE, DataUnusable

SUFFIX: Final = "-mark"
TABLE: Final = "mark"

_SELECT: Final = f"SELECT data_id, logs FROM {TABLE}"  # noqa: S608 - a constant


@dataclass(frozen=True)
class Mark:
    """The identity of a database."""

    data_id: str
    """The same in all databases of a data folder."""
    logs: int
    """How often the database was opened, or began a log whose first change was acknowledged."""
    partners: dict[str, int] = field(default_factory=dict)
    """``logs`` of the other databases in the folder, by name. They were at least so new."""

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
    if has_log or _read(_path(database)) is not None or _least_logs(database) is not None:
        raise DataUnusable(f"{database} is missing or empty, though it had data. {RESTORE}")


def schema(database: Path) -> str:
    """Return the statements that give a database its identity, that of the folder's data."""
    known = [mark.data_id for mark in _others(database).values()]
    data_id = known[0] if known else str(uuid.uuid4())
    insert = f"INSERT INTO {TABLE} VALUES ('{data_id}', 0)"  # noqa: S608 - a UUID
    return f"CREATE TABLE {TABLE} (data_id TEXT NOT NULL, logs INTEGER NOT NULL); {insert};"


def check_identity(connection: sqlite3.Connection, database: Path) -> None:
    """Check that an open database belongs to the others, and is as new as they know it.

    A database of a former version gets an identity.

    Raises:
        DataUnusable: it does not belong to them, or data that was acknowledged is not in it.
    """
    least, noted = _least_logs(database), _read(_path(database))
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    if TABLE not in names:
        if least is not None or noted is not None:
            raise DataUnusable(
                f"{database} was replaced by another file, or its log was deleted. {RESTORE}"
            )
        connection.executescript(f"BEGIN; {schema(database)} COMMIT")
    mark = Mark(*connection.execute(_SELECT).fetchone())
    for path, other in _others(database).items():
        if other.data_id != mark.data_id:
            raise DataUnusable(f"{database} and {path} are of different data folders. {RESTORE}")
    if noted is not None and noted.data_id != mark.data_id:
        raise DataUnusable(f"{database} is of another data folder. {RESTORE}")
    if mark.logs < max(least or 0, noted.logs if noted else 0):
        raise DataUnusable(
            f"{database} lacks the last changes: it is older than the rest of the folder, or its"
            f" log {database.name}-wal was deleted. {RESTORE}"
        )


def count_log(connection: sqlite3.Connection, database: Path) -> None:
    """Count a log that was begun, in the database and in its mark.

    Raises:
        sqlite3.Error: the database cannot be written.
        OSError: the mark cannot be written.
    """
    touch(connection, logs=1)
    mark, noted = Mark(*connection.execute(_SELECT).fetchone()), _read(_path(database))
    partners = dict(noted.partners) if noted is not None else {}
    for path, other in _others(database).items():
        partners[path.name.removesuffix(SUFFIX)] = other.logs
    replace(mark, partners=partners).write(database)


def introduce(database: Path) -> None:
    """Let the marks of the other databases know how new this one is. Nobody may be writing them.

    Raises:
        OSError: a mark cannot be written.
    """
    mark = _read(_path(database))
    for path, other in _others(database).items():
        if mark is not None:
            partners = {**other.partners, database.name: mark.logs}
            replace(other, partners=partners).write(Path(str(path).removesuffix(SUFFIX)))


def touch(connection: sqlite3.Connection, logs: int = 0) -> None:
    """Write to a database, to count a log or to see whether the disk takes anything."""
    connection.execute(f"UPDATE {TABLE} SET logs = logs + ?", (logs,))  # noqa: S608 - a constant


def _least_logs(database: Path) -> int | None:
    """Return how new the other databases know this one; None if they do not know it."""
    known = [mark.partners.get(database.name) for mark in _others(database).values()]
    return max((logs for logs in known if logs is not None), default=None)


def _others(database: Path) -> dict[Path, Mark]:
    """Return the marks of the other databases in the folder, by the marks' paths."""
    paths = [path for path in database.parent.glob(f"*.db{SUFFIX}") if path != _path(database)]
    return {path: mark for path in paths if (mark := _read(path)) is not None}


def _path(database: Path) -> Path:
    return Path(f"{database}{SUFFIX}")


def _read(path: Path) -> Mark | None:
    """Read a mark; None if it is missing or damaged: no data is lost with it."""
    try:
        content = json.loads(path.read_text())
        data_id = str(uuid.UUID(content["data_id"]))
        return Mark(data_id, int(content["logs"]), dict(content["partners"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
