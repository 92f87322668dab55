"""The log groups of deployed functions, written with the functions' own roles, as by Lambda."""

import contextlib
import logging
import queue
import threading
from typing import Any

from localaws.services.lambda_.execution_environment import ExecutionEnvironment
from localaws.services.lambda_.role_sessions import RoleSessions

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 10_000
"""The number of events that one PutLogEvents accepts."""

_Lines = list[tuple[int, str]]


class LogWriter:
    """Writes the output of execution environments in the background.

    The output of a function whose role may not write logs is lost, as on AWS.

    Args:
        sessions: returns clients that have a role's permissions.
    """

    def __init__(self, sessions: RoleSessions) -> None:
        self._sessions = sessions
        self._queue: queue.Queue[tuple[ExecutionEnvironment, _Lines] | None] = queue.Queue()
        self._thread: threading.Thread | None = None

    def write(self, environment: ExecutionEnvironment) -> None:
        """Queue the output that an environment has printed since the last call."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="lambda-logs", daemon=True)
            self._thread.start()
        self._queue.put((environment, environment.log.take()))

    def drain(self) -> None:
        """Wait until all queued output is written."""
        self._queue.join()

    def stop(self) -> None:
        """Write the queued output, and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (waiting := self._queue.get()) is not None:
            environment, lines = waiting
            try:
                self._put(environment, lines)
            except Exception as error:  # the output of other environments must still be written
                logger.info("the output of %s is lost: %s", environment.configuration.name, error)
            finally:
                self._queue.task_done()
        self._queue.task_done()

    def _put(self, environment: ExecutionEnvironment, lines: _Lines) -> None:
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
            except logs.exceptions.ResourceNotFoundException:  # new, or deleted since
                self._make_stream(logs, where)
                logs.put_log_events(logEvents=events, **where)

    def _make_stream(self, logs: Any, where: dict[str, str]) -> None:
        try:
            logs.create_log_stream(**where)
        except logs.exceptions.ResourceNotFoundException:
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_group(logGroupName=where["logGroupName"])
            logs.create_log_stream(**where)
