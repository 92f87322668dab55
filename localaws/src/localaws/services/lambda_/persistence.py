"""Lambda on disk: the events that no function has handled yet."""

from collections.abc import Callable
from typing import Final

from localaws.database import Database, unit_of_work
from localaws.errors import DataNotStored

SCHEMA: Final = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,
    function TEXT NOT NULL,
    payload TEXT NOT NULL
);
"""
TABLES: Final = ("events",)


class EventStore:
    """Keeps events until they are handled. Threads can share a store.

    Args:
        database: has the tables of ``SCHEMA``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, request_id: str, function: str, payload: str, stored: Callable[[], None]) -> None:
        """Store an event for a function, together with the change that it tells.

        Args:
            request_id: of the invocation.
            function: its name.
            payload: the event in JSON.
            stored: called when the event is on disk.
        """
        row = (request_id, function, payload)
        insert = "INSERT INTO events (request_id, function, payload) VALUES (?, ?, ?)"
        work = unit_of_work.get()
        if work is not None:
            work.statements.append((insert, row))
            work.afterwards.append(stored)
        else:
            self._database.write(lambda db: db.execute(insert, row))
            stored()

    def remove(self, request_id: str) -> None:
        """Remove an event with the next write: to handle it once more does no harm."""
        delete = "DELETE FROM events WHERE request_id = ?"
        self._database.submit(lambda db: db.execute(delete, (request_id,)))

    def are_storable(self) -> bool:
        """Return whether the disk takes changes, as far as is known."""
        try:
            self._database.check_room()
        except DataNotStored:
            return False
        return True

    def waiting(self) -> list[tuple[str, str, str]]:
        """Return request ids, functions and payloads of all stored events, the oldest first."""
        rows = self._database.read("SELECT request_id, function, payload FROM events ORDER BY id")
        return [(str(id_), str(function), str(payload)) for id_, function, payload in rows]
