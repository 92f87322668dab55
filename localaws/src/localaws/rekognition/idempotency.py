"""ClientRequestToken: a request that is repeated is not done twice."""

import hashlib
import json
import sqlite3
import time
from typing import Any, Final

from localaws.database import Change
from localaws.rekognition.exceptions import IdempotentParameterMismatchException

SCHEMA: Final = """
CREATE TABLE answers (
    token TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers (at);
"""

# AWS does not say for how long it remembers a token.
_SECONDS: Final = 24 * 3600.0


def once(
    operation: str, request: dict[str, Any], change: Change[dict[str, Any]]
) -> Change[dict[str, Any]]:
    """Return a change that is made once for a request's token, and then answers as it did.

    Raises:
        IdempotentParameterMismatchException: when it is made; the token came with another request.
    """
    token = request.get("ClientRequestToken")
    if token is None:
        return change
    digest = hashlib.sha256(json.dumps([operation, request], sort_keys=True).encode()).hexdigest()

    def change_once(connection: sqlite3.Connection) -> dict[str, Any]:
        now = time.time()
        connection.execute("DELETE FROM answers WHERE at < ?", (now - _SECONDS,))
        statement = "SELECT request, answer FROM answers WHERE token = ?"
        known = connection.execute(statement, (token,)).fetchone()
        if known is None:
            answer = change(connection)
            row = (token, digest, json.dumps(answer), now)
            connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", row)
            return answer
        if known[0] != digest:
            raise IdempotentParameterMismatchException
        repeated: dict[str, Any] = json.loads(known[1])
        return repeated

    return change_once
