"""ClientRequestToken: a repeated request is not performed twice."""

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

# AWS does not document how long it remembers a token.
_REMEMBERED_SECONDS: Final = 24 * 3600.0


def idempotent(
    operation: str, request: dict[str, Any], change: Change[dict[str, Any]]
) -> Change[dict[str, Any]]:
    """Return a change that is made only once for a request's ClientRequestToken.

    When the same request is repeated, the change returns the first answer and does nothing else. A
    request without a token is performed every time.

    Args:
        operation: AWS's name of the operation.
        request: the members of the request.
        change: performs the request and returns the answer. It raises
            IdempotentParameterMismatchException if the token came with another request before.
    """
    token = request.get("ClientRequestToken")
    if token is None:
        return change
    digest = hashlib.sha256(json.dumps([operation, request], sort_keys=True).encode()).hexdigest()

    def change_once(connection: sqlite3.Connection) -> dict[str, Any]:
        now = time.time()
        connection.execute("DELETE FROM answers WHERE at < ?", (now - _REMEMBERED_SECONDS,))
        statement = "SELECT request, answer FROM answers WHERE token = ?"
        stored = connection.execute(statement, (token,)).fetchone()
        if stored is None:
            answer = change(connection)
            row = (token, digest, json.dumps(answer), now)
            connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", row)
            return answer
        if stored[0] != digest:
            raise IdempotentParameterMismatchException
        repeated: dict[str, Any] = json.loads(stored[1])
        return repeated

    return change_once
