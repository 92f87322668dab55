"""SQS on disk: the queues of a region, with their messages, are one row."""

from typing import Any, Final

from moto.sqs.models import sqs_backends

from localaws.account import ACCOUNT_ID
from localaws.database import Database, Statement
from localaws.pickling import pickled, unpickled

SCHEMA: Final = "CREATE TABLE queues (region TEXT PRIMARY KEY, state BLOB NOT NULL);"
TABLES: Final = ("queues",)

_READS: Final = ("Get", "List")


def is_write(operation: str) -> bool:
    """Return whether an operation can change anything. ReceiveMessage does: it hides messages."""
    return not operation.startswith(_READS)


class SQSStore:
    """Writes the queues of a region after each change, and reads them back.

    One row for a region is enough: there are few queues, and messages are rare.

    Args:
        database: has the tables of ``SCHEMA``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def statements(self, region: str) -> list[Statement]:
        """Return the statements that write all queues of a region."""
        queues = sqs_backends[ACCOUNT_ID][region].queues
        return [("INSERT OR REPLACE INTO queues VALUES (?, ?)", (region, pickled(queues)))]

    def load(self) -> None:
        """Put everything on disk into moto, and nothing else.

        Raises:
            DataUnusable: the file is damaged.
        """
        queues: dict[str, Any] = {region: {} for region in sqs_backends[ACCOUNT_ID]}
        for region, state in self._database.scan("SELECT * FROM queues"):
            queues[region] = unpickled(state, self._database.path)
        for region, loaded in queues.items():
            sqs_backends[ACCOUNT_ID][region].queues = loaded
