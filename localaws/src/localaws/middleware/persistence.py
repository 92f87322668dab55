"""Persistence: the layer that writes changes in S3, DynamoDB and SQS to disk."""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import moto

from localaws.database import Database, Statement, UnitOfWork, unit_of_work
from localaws.errors import DataNotStored
from localaws.outage import ERRORS, Outage
from localaws.refusals import RequestRefused, error_response
from localaws.request import request_of
from localaws.services.dynamodb import persistence as dynamodb
from localaws.services.dynamodb.persistence import DynamoDBStore
from localaws.services.lambda_ import persistence as lambda_
from localaws.services.lambda_.persistence import EventStore
from localaws.services.s3 import persistence as s3
from localaws.services.s3.persistence import S3Store
from localaws.services.sqs import persistence as sqs
from localaws.services.sqs.persistence import SQSStore
from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_WRITTEN_BY: Final = f"localaws.persistence 1 with moto {moto.__version__}"
_SCHEMA: Final = s3.SCHEMA + dynamodb.SCHEMA + sqs.SCHEMA + lambda_.SCHEMA
_TABLES: Final = (*s3.TABLES, *dynamodb.TABLES, *sqs.TABLES, *lambda_.TABLES)

_NOT_STORED: Final = {"dynamodb": "InternalServerError", "s3": "InternalError"}
"""The error codes of the services for a failure of their own."""

Answer = tuple[tuple[Any, ...], bytes]
"""The arguments for ``start_response``, and the body."""


class Persistence:
    """Layer that keeps S3, DynamoDB and SQS in a file.

    Requests that change something in one service are passed on one by one, so that the file gets
    the changes in the order in which they took effect. The requests wait for the disk together. All
    other requests pass without waiting.

    Args:
        path: the file. Its content is put into moto at once.

    Raises:
        localaws.errors.DataUnusable: the file is damaged, or from another version of moto.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA, _WRITTEN_BY)
        self._database.check(*_TABLES)
        self._s3 = S3Store(self._database)
        self._dynamodb = DynamoDBStore(self._database)
        self._sqs = SQSStore(self._database)
        self._load()
        self._lost = self._loaded = object()
        """Names the last loss, and the last one that moto's memory was repaired after."""
        self._temporary_files = Outage("the folder of temporary files")
        self.events = EventStore(self._database)
        """The events that functions of this process have not handled yet."""
        self._locks = {name: threading.Lock() for name in ("s3", "dynamodb", "sqs")}

    def _load(self) -> None:
        """Make moto's memory equal to the file."""
        for store in (self._s3, self._dynamodb, self._sqs):
            store.load()

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Answer a request. If it changes something, answer when the change is on disk."""
        request = request_of(environ)
        try:
            return self._answer(environ, start_response, inner)
        except DataNotStored as error:
            code = _NOT_STORED.get(request.service, "ServiceUnavailable")
            refused = RequestRefused(code, f"The data folder takes no changes: {error}", 503)
            return error_response(request, refused)(environ, start_response)

    def _answer(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        request = request_of(environ)
        service, operation, region = request.service, request.operation, request.region

        def ask() -> Answer:
            return _ask(environ, inner)

        # Bodies are read before the locks, so that a slow client delays nobody.
        if service == "s3" and request.method in ("PUT", "POST", "DELETE"):
            size = len(read_body(environ))
            started, body = self._change_s3(ask, size)
        elif service == "dynamodb" and dynamodb.is_write(operation):
            content = read_body(environ)
            started, body = self._change(
                service, ask, lambda: self._dynamodb.statements(operation, content, region)
            )
        elif service == "sqs" and sqs.is_write(operation):
            read_body(environ)
            started, body = self._change(service, ask, lambda: self._sqs.statements(region))
        else:
            return inner(environ, start_response)
        start_response(*started)
        return [body]

    def _change_s3(self, ask: Callable[[], Answer], size: int) -> Answer:
        """Write the changes of a request, and the events about them, in one transaction."""
        work = UnitOfWork()
        with self._one_at_a_time("s3", size):
            token = unit_of_work.set(work)
            try:
                answer, statements, written = self._s3.call(ask)
                self._temporary_files.end()
            except OSError as error:  # moto keeps large bodies in temporary files
                self._refuse_without_temporary_files(error)
                raise
            finally:
                unit_of_work.reset(token)
            wait = self._submit([*statements, *work.statements])
        self._wait(wait)
        written()
        for act in work.afterwards:
            act()
        return answer

    def _change(
        self, service: str, ask: Callable[[], Answer], statements: Callable[[], list[Statement]]
    ) -> Answer:
        with self._one_at_a_time(service):
            answer = ask()
            if not answer[0][0].startswith("2"):
                return answer
            wait = self._submit(statements())
        self._wait(wait)
        return answer

    @contextmanager
    def _one_at_a_time(self, service: str, size: int = 0) -> Iterator[None]:
        """Wait until no other request changes a service.

        Args:
            service: such as ``s3``.
            size: of the change, in bytes.

        Raises:
            DataNotStored: the disk takes no changes.
        """
        self._repair()
        self._database.check_room(size)
        with self._locks[service]:
            yield

    def _submit(self, statements: list[Statement]) -> Callable[[], None]:
        """Queue the statements of a request, and return a function that waits for the disk.

        They are refused if an earlier loss comes to light before: they tell of what was lost, too.
        """
        loaded = self._loaded

        def execute(connection: sqlite3.Connection) -> None:
            if loaded is not self._lost:
                raise DataNotStored("an earlier change could not be stored")
            self._database.if_undone(self._note_loss)
            for statement, parameters in statements:
                connection.execute(statement, parameters)

        return self._database.submit(execute)

    def _note_loss(self) -> None:
        self._lost = object()

    def _wait(self, wait: Callable[[], None]) -> None:
        """Wait until a change is on disk.

        Raises:
            DataNotStored: it cannot be stored, and moto's memory is without it again.
        """
        try:
            wait()
        except DataNotStored:
            self._repair()
            raise

    def _repair(self) -> None:
        """Make moto's memory equal to the file again, if it was told of changes that were lost."""
        if self._loaded is self._lost:
            return
        with self._all_services():
            lost = self._lost
            if self._loaded is not lost:
                self._load()
                self._loaded = lost

    def _refuse_without_temporary_files(self, error: OSError) -> None:
        """Raise DataNotStored if moto had no room for a body; its memory may have half of it."""
        if error.errno in ERRORS:
            self._temporary_files.begin(error.strerror)
            self._note_loss()
            raise DataNotStored(f"no temporary file can be written ({error.strerror})") from error

    @contextmanager
    def _all_services(self) -> Iterator[None]:
        with ExitStack() as held:
            for name in sorted(self._locks):
                held.enter_context(self._locks[name])
            yield

    def clear(self) -> None:
        """Delete everything, after moto has been emptied."""

        def clear(connection: sqlite3.Connection) -> None:
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a constant

        self._database.write(clear)
        self._s3.forget()

    def close(self) -> None:
        """Close the file. Later changes fail."""
        self._database.close()


def _ask(environ: "WSGIEnvironment", app: "WSGIApplication") -> Answer:
    """Return the answer of an application, whole."""
    started: list[tuple[Any, ...]] = []

    def start_response(*arguments: Any) -> Callable[[bytes], object]:
        started.append(arguments)
        return lambda _: None

    body = b"".join(app(environ, start_response))
    return started[0], body
