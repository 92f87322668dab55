"""WSGI middleware that keeps what requests change in S3, DynamoDB and SQS."""

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import moto

from localaws.database import Database, Statement
from localaws.services.dynamodb import persistence as dynamodb
from localaws.services.dynamodb.persistence import DynamoDB
from localaws.services.lambda_ import kept_events as events
from localaws.services.lambda_.kept_events import Events
from localaws.services.s3 import persistence as s3
from localaws.services.s3.persistence import S3
from localaws.services.sqs import persistence as sqs
from localaws.services.sqs.persistence import SQS
from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_WRITTEN_BY: Final = f"localaws.persistence 1 with moto {moto.__version__}"
_SIGNED_FOR: Final = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_SCHEMA: Final = s3.SCHEMA + dynamodb.SCHEMA + sqs.SCHEMA + events.SCHEMA
_TABLES: Final = (*s3.TABLES, *dynamodb.TABLES, *sqs.TABLES, *events.TABLES)
_DEFAULT_REGION: Final = "us-east-1"

Answer = tuple[tuple[Any, ...], bytes]
"""What was given to ``start_response``, and the body."""


class Persistence:
    """Keeps S3, DynamoDB and SQS in a file.

    Requests to one service that change something are let through one by one, so that they are
    written in the order in which they took effect; they wait for the disk together. All others
    pass freely.
    """

    def __init__(self, app: "WSGIApplication", path: Path, account_id: str) -> None:
        """Put what is in the file into moto, whose application this is.

        Raises:
            localaws.database.DataUnusable: the file is damaged, or from another version of moto.
        """
        self._app = app
        self._database = Database(path, _SCHEMA, _WRITTEN_BY)
        self._database.check(*_TABLES)
        self._s3 = S3(self._database, account_id)
        self._dynamodb = DynamoDB(self._database, account_id)
        self._sqs = SQS(self._database, account_id)
        for service in (self._s3, self._dynamodb, self._sqs):
            service.load()
        self.events = Events(self._database)
        """For the events that S3 sends to functions."""
        self._locks = {name: threading.Lock() for name in ("s3", "dynamodb", "sqs")}

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request; if it changes something, when this is on disk."""
        service, region = _service(environ)
        method, operation = environ["REQUEST_METHOD"], _operation(environ)
        if service == "s3" and method in ("PUT", "POST", "DELETE"):
            read_body(environ)  # now, so that a slow client holds up nobody
            started, body = self._change_s3(environ)
        elif service == "dynamodb" and dynamodb.changes_something(operation):
            request = read_body(environ)
            started, body = self._change(
                service,
                environ,
                lambda: self._dynamodb.statements(operation, json.loads(request), region),
            )
        elif service == "sqs" and sqs.changes_something(operation):
            read_body(environ)
            started, body = self._change(service, environ, lambda: self._sqs.statements(region))
        else:
            return self._app(environ, start_response)
        start_response(*started)
        return [body]

    def _change_s3(self, environ: "WSGIEnvironment") -> Answer:
        with self._locks["s3"]:
            answer, statements, written = self._s3.call(lambda: self._ask(environ))
            finish = self._database.begin(_execute(statements))
        finish()
        written()
        return answer  # type: ignore[no-any-return]

    def _change(
        self, service: str, environ: "WSGIEnvironment", statements: Callable[[], list[Statement]]
    ) -> Answer:
        with self._locks[service]:
            answer = self._ask(environ)
            if not answer[0][0].startswith("2"):
                return answer
            finish = self._database.begin(_execute(statements()))
        finish()
        return answer

    def _ask(self, environ: "WSGIEnvironment") -> Answer:
        started: list[tuple[Any, ...]] = []

        def start_response(*arguments: Any) -> Callable[[bytes], object]:
            started.append(arguments)
            return lambda _: None

        body = b"".join(self._app(environ, start_response))
        return started[0], body

    def clear(self) -> None:
        """Forget everything; moto has been emptied."""

        def clear(connection: sqlite3.Connection) -> None:
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a constant

        self._database.write(clear)
        self._s3.forget()

    def close(self) -> None:
        """Close the file; nothing can be changed any more."""
        self._database.close()


def _service(environ: "WSGIEnvironment") -> tuple[str, str]:
    """Return which service a request is for, as moto takes it, and in which region."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    signed = _SIGNED_FOR.search(environ.get("HTTP_AUTHORIZATION", ""))
    region = signed[1] if signed else _DEFAULT_REGION
    if target.startswith("DynamoDB_"):
        return "dynamodb", region
    if target.startswith("AmazonSQS"):
        return "sqs", region
    # What is not signed, or in a form or the address, is S3's.
    return (signed[2] if signed else "" if target else "s3"), region


def _operation(environ: "WSGIEnvironment") -> str:
    return str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]


def _execute(statements: list[Statement]) -> Callable[[sqlite3.Connection], None]:
    def execute(connection: sqlite3.Connection) -> None:
        for statement, parameters in statements:
            connection.execute(statement, parameters)

    return execute
