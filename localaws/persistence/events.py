"""Events that have not been handled yet, so that none is lost with the process."""

import itertools
from typing import Final

from localaws.database import Database, Row

SCHEMA: Final = """
CREATE TABLE events (id INTEGER PRIMARY KEY, function TEXT NOT NULL, payload TEXT NOT NULL);
"""
TABLES: Final = ("events",)


class Events:
    """Keeps the events that functions are yet to handle; safe to share between threads."""

    def __init__(self, database: Database) -> None:
        """Take the database, which has the tables of ``SCHEMA``."""
        self._database = database
        ((last,),) = database.read("SELECT coalesce(max(id), 0) FROM events")
        self._numbers = itertools.count(last + 1)

    def add(self, function: str, payload: str) -> int:
        """Keep an event, and return the number under which it is kept."""
        row: Row = (next(self._numbers), function, payload)
        self._database.write(lambda db: db.execute("INSERT INTO events VALUES (?, ?, ?)", row))
        number: int = row[0]
        return number

    def remove(self, number: int) -> None:
        """Forget an event that was handled, with the next write: to handle it again is no harm."""
        self._database.begin(lambda db: db.execute("DELETE FROM events WHERE id = ?", (number,)))

    def waiting(self) -> list[tuple[int, str, str]]:
        """Return numbers, functions and payloads of all that is kept, the oldest first."""
        rows = self._database.read("SELECT id, function, payload FROM events ORDER BY id")
        return [(int(number), str(function), str(payload)) for number, function, payload in rows]
