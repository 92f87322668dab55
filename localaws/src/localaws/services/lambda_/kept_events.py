"""Events that have not been handled yet, so that none is lost with the process."""

from typing import Final

from localaws.database import Database

SCHEMA: Final = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,
    function TEXT NOT NULL,
    payload TEXT NOT NULL
);
"""
TABLES: Final = ("events",)


class Events:
    """Keeps the events that functions are yet to handle; safe to share between threads."""

    def __init__(self, database: Database) -> None:
        """Take the database, which has the tables of ``SCHEMA``."""
        self._database = database

    def add(self, request_id: str, function: str, payload: str) -> None:
        """Keep an event that a function is invoked with."""
        row = (request_id, function, payload)
        insert = "INSERT INTO events (request_id, function, payload) VALUES (?, ?, ?)"
        self._database.write(lambda db: db.execute(insert, row))

    def remove(self, request_id: str) -> None:
        """Forget an event that was handled, with the next write: to handle it again is no harm."""
        delete = "DELETE FROM events WHERE request_id = ?"
        self._database.begin(lambda db: db.execute(delete, (request_id,)))

    def waiting(self) -> list[tuple[str, str, str]]:
        """Return request ids, functions and payloads of all that is kept, the oldest first."""
        rows = self._database.read("SELECT request_id, function, payload FROM events ORDER BY id")
        return [(str(id_), str(function), str(payload)) for id_, function, payload in rows]
