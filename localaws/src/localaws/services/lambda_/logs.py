"""CloudWatch Logs of deployed functions, written with their own roles, as Lambda does it."""

import contextlib
import logging
import queue
import threading
from typing import Any

from localaws.services.lambda_.environment import Environment
from localaws.services.lambda_.sessions import Sessions

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 10_000
"""Events that one PutLogEvents takes."""

_Lines = list[tuple[int, str]]


class LogWriter:
    """Writes in the background what environments have printed; who may not write is not logged."""

    def __init__(self, sessions: Sessions) -> None:
        """Take what gives clients with a role's rights."""
        self._sessions = sessions
        self._queue: queue.Queue[tuple[Environment, _Lines] | None] = queue.Queue()
        self._thread: threading.Thread | None = None

    def write(self, environment: Environment) -> None:
        """Write what an environment has printed so far, some time soon."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="lambda-logs", daemon=True)
            self._thread.start()
        self._queue.put((environment, environment.log.take()))

    def drain(self) -> None:
        """Wait until all is written."""
        self._queue.join()

    def stop(self) -> None:
        """Write what is left, and end."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (waiting := self._queue.get()) is not None:
            environment, lines = waiting
            try:
                self._put(environment, lines)
            except Exception as error:  # whatever it is, the others are to be written
                logger.info("%s is not logged: %s", environment.configuration.name, error)
            finally:
                self._queue.task_done()
        self._queue.task_done()

    def _put(self, environment: Environment, lines: _Lines) -> None:
        configuration = environment.configuration
        logs = self._sessions.client("logs", configuration.role_arn, configuration.name)
        where = {
            "logGroupName": f"/aws/lambda/{configuration.name}",
            "logStreamName": environment.log_stream,
        }
        for start in range(0, len(lines), MOST_AT_ONCE):
            events = [
                {"timestamp": time, "message": text}
                for time, text in lines[start : start + MOST_AT_ONCE]
            ]
            try:
                logs.put_log_events(logEvents=events, **where)
            except logs.exceptions.ResourceNotFoundException:  # not yet, or somebody deleted it
                self._make_stream(logs, where)
                logs.put_log_events(logEvents=events, **where)

    def _make_stream(self, logs: Any, where: dict[str, str]) -> None:
        try:
            logs.create_log_stream(**where)
        except logs.exceptions.ResourceNotFoundException:
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_group(logGroupName=where["logGroupName"])
            logs.create_log_stream(**where)
