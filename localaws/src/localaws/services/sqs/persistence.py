"""SQS's queues with their messages, a row for each region."""

from typing import Final

from moto.sqs.models import sqs_backends

from localaws.database import Database, Statement
from localaws.pickling import pickled, unpickled

SCHEMA: Final = "CREATE TABLE queues (region TEXT PRIMARY KEY, state BLOB NOT NULL);"
TABLES: Final = ("queues",)

_READS: Final = ("Get", "List")


def changes_something(operation: str) -> bool:
    """Say whether an operation can change anything; to receive a message hides it."""
    return not operation.startswith(_READS)


class SQS:
    """Writes an account's SQS, and reads it back: few queues, whose messages are rare."""

    def __init__(self, database: Database, account_id: str) -> None:
        """Take the database, which has the tables of ``SCHEMA``."""
        self._database = database
        self._account_id = account_id

    def statements(self, region: str) -> list[Statement]:
        """Return what writes all queues of a region."""
        queues = sqs_backends[self._account_id][region].queues
        return [("INSERT OR REPLACE INTO queues VALUES (?, ?)", (region, pickled(queues)))]

    def load(self) -> None:
        """Put everything that is on disk into moto.

        Raises:
            DataUnusable: the file is damaged.
        """
        for region, state in self._database.scan("SELECT * FROM queues"):
            backend = sqs_backends[self._account_id][region]
            backend.queues = unpickled(state, self._database.path)
