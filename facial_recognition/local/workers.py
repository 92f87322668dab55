"""Processes that run the functions of a Chalice project as AWS Lambda runs them.

A worker process handles one event at a time and stays for the next one. It is killed when a
function exceeds its timeout. When it dies, no other process is affected.
"""

import importlib
import json
import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from chalice.local import LambdaContext

from localaws.services.lambda_.errors import FunctionError

APP = "app"
"""The handler that answers HTTP requests. Other handlers have their names in the project."""


@dataclass(frozen=True)
class Invocation:
    """An event for a function."""

    handler: str
    function: str
    payload: str
    """The event in JSON."""
    request_id: str
    timeout: float
    """Seconds."""


class Workers:
    """A pool of processes that have a project's ``app.py`` loaded.

    Args:
        directory: the folder of the project.
        environment: the environment variables of the processes.
        size: the most processes at once; each starts when it is needed.
    """

    def __init__(self, directory: str, environment: Mapping[str, str], size: int) -> None:
        self._directory = directory
        self._environment = dict(environment)
        self._places = threading.BoundedSemaphore(size)
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all: dict[str, _Worker] = {}
        self._count = 0
        self._lock = threading.Lock()
        # A worker is forked from a server process that has the application loaded, and so starts at
        # once. Unlike this process, the server has no threads, whose locks a fork could copy held.
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(
            ["__main__", "facial_recognition.local.workers", "app"]
        )

    def run(self, invocation: Invocation) -> Any:
        """Run a function in a worker and return its result.

        Raises:
            FunctionError: the function returned no result.
        """
        with self._places:
            worker = self._take()
            try:
                result = worker.run(invocation)
            except BaseException:
                if worker.process.is_alive() and not worker.busy:
                    self._idle.put(worker)
                else:
                    self._end(worker)
                raise
            self._idle.put(worker)
            return result

    def pids(self) -> list[int]:
        """Return the process ids of the workers."""
        with self._lock:
            return [worker.process.pid for worker in self._all.values()]

    def handler_of(self, name: str) -> str | None:
        """Return the handler that a worker runs or ran last; None for an unknown worker."""
        with self._lock:
            worker = self._all.get(name)
        return worker.handler if worker else None

    def kill(self, name: str) -> bool:
        """Kill a worker by its name; return whether it existed."""
        with self._lock:
            worker = self._all.get(name)
        if worker is None:
            return False
        worker.process.kill()
        worker.process.join()
        return True

    def stop(self) -> None:
        """End all workers."""
        with self._lock:
            workers = list(self._all.values())
        for worker in workers:
            self._end(worker)

    def _take(self) -> "_Worker":
        """Return an idle worker, or start one."""
        while not self._idle.empty():
            worker = self._idle.get_nowait()
            if worker.process.is_alive():
                return worker
            self._end(worker)
        with self._lock:
            self._count += 1
            name = f"worker-{self._count}"
            ours, theirs = self._processes.Pipe()
            environment = {**self._environment, "AWS_SDK_UA_APP_ID": name}
            process = self._processes.Process(
                target=_serve, args=(theirs, self._directory, environment), name=name, daemon=True
            )
            process.start()
            theirs.close()
            worker = self._all[name] = _Worker(process, ours)
            return worker

    def _end(self, worker: "_Worker") -> None:
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        with self._lock:
            self._all.pop(worker.process.name, None)


class _Worker:
    """One process, and the pipe to it."""

    def __init__(
        self, process: multiprocessing.process.BaseProcess, connection: "Connection[Any, Any]"
    ) -> None:
        self.process: Any = process
        self.connection = connection
        self.busy = False
        self.handler: str | None = None

    def run(self, invocation: Invocation) -> Any:
        self.busy, self.handler = True, invocation.handler
        try:
            self.connection.send(invocation)
            if not self.connection.poll(invocation.timeout):
                message = f"Task timed out after {invocation.timeout:.2f} seconds"
                raise FunctionError({"errorType": "Sandbox.Timedout", "errorMessage": message})
            succeeded, answer = self.connection.recv()
        except (EOFError, OSError) as error:
            payload = {"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited"}
            raise FunctionError(payload) from error
        self.busy = False
        if not succeeded:
            raise FunctionError(answer)
        return json.loads(answer)


def _serve(
    connection: "Connection[Any, Any]", directory: str, environment: Mapping[str, str]
) -> None:
    """Run functions in a worker process until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent ends its workers
    os.environ.clear()
    os.environ.update(environment)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    app = importlib.import_module("app").app
    while True:
        try:
            invocation: Invocation = connection.recv()
        except EOFError:
            return
        connection.send(_answer(app, invocation))


def _answer(app: Any, invocation: Invocation) -> tuple[bool, Any]:
    """Run a function; return True and the result in JSON, or False and Lambda's error payload."""
    handle = app if invocation.handler == APP else app.handler_map[invocation.handler]
    context = LambdaContext(invocation.function, 128, int(invocation.timeout * 1000))
    context.aws_request_id = invocation.request_id
    try:
        return True, json.dumps(handle(json.loads(invocation.payload), context))
    except Exception as error:
        traceback.print_exc()
        kind = type(error).__name__
        return False, {"errorType": kind, "errorMessage": f"{kind}: {error}"}
