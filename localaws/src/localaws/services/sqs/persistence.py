"""SQS on disk: the queues of a region are one row, and each message is a row of its own."""

from typing import Any, Final

from moto.sqs.models import Message, sqs_backends

from localaws.account import ACCOUNT_ID
from localaws.database import Database, Statement
from localaws.pickling import pickled, unpickled

SCHEMA: Final = "CREATE TABLE queues (region TEXT PRIMARY KEY, state BLOB NOT NULL);"
ADDED_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS messages (
    region TEXT NOT NULL,
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    number INTEGER NOT NULL,  -- in the order of sending
    state BLOB NOT NULL,
    PRIMARY KEY (region, id)
) WITHOUT ROWID
"""
"""Data from before this table has the messages in the rows of the queues."""
TABLES: Final = ("queues", "messages")

_READS: Final = ("Get", "List")


def is_write(operation: str) -> bool:
    """Return whether an operation can change anything. ReceiveMessage does: it hides messages."""
    return not operation.startswith(_READS)


class SQSStore:
    """Writes what has changed in the queues of a region after each request, and reads it back.

    Args:
        database: has the tables of ``SCHEMA`` and ``ADDED_SCHEMA``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._number = 0
        self._queues: dict[str, bytes] = {}
        """What is on disk of the queues, by region."""
        self._messages: dict[str, dict[str, tuple[int, tuple[Any, ...]]]] = {}
        """Numbers and states of the messages on disk, by region and id."""

    def statements(self, region: str) -> list[Statement]:
        """Return the statements that write the changes in the queues of a region."""
        queues = sqs_backends[ACCOUNT_ID][region].queues
        found: list[Statement] = []
        state = pickled(queues)
        if state != self._queues.get(region):
            self._queues[region] = state
            found.append(("INSERT OR REPLACE INTO queues VALUES (?, ?)", (region, state)))
        known, present = self._messages.get(region, {}), {}
        for queue in queues.values():
            for message in queue._messages:
                number, before = known.get(message.id, (0, None))
                now = _state(queue.name, message)
                if now != before:
                    if not number:
                        self._number = number = self._number + 1
                    row = (region, queue.name, message.id, number, pickled(message))
                    found.append(("INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?, ?)", row))
                present[message.id] = number, now
        found += [
            ("DELETE FROM messages WHERE region = ? AND id = ?", (region, id_))
            for id_ in known.keys() - present.keys()
        ]
        self._messages[region] = present
        return found

    def load(self) -> None:
        """Put everything on disk into moto, and nothing else.

        Raises:
            DataUnusable: the file is damaged.
        """
        queues: dict[str, Any] = {region: {} for region in sqs_backends[ACCOUNT_ID]}
        self._queues.clear()
        self._messages.clear()
        for region, state in self._database.scan("SELECT * FROM queues"):
            queues[region] = unpickled(state, self._database.path)
            self._queues[region] = state
        rows = self._database.scan(
            "SELECT region, queue, id, number, state FROM messages ORDER BY number"
        )
        for region, queue, id_, number, state in rows:
            message = unpickled(state, self._database.path)
            queues[region][queue]._messages.append(message)
            self._number = max(self._number, number)
            self._messages.setdefault(region, {})[id_] = number, _state(queue, message)
        for region, loaded in queues.items():
            sqs_backends[ACCOUNT_ID][region].queues = loaded


def _state(queue: str, message: Message) -> tuple[Any, ...]:
    """Return what may change in a message; it may move to a dead-letter queue."""
    return (
        queue,
        message.receipt_handle,
        message.approximate_receive_count,
        message.visible_at,
        message.delayed_until,
    )
