"""Processes in which the functions of a Chalice project run, as AWS Lambda runs them.

A worker handles one event at a time, stays for the next one, is killed when a function takes
longer than its timeout, and takes nothing down with it when it dies.
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

APP = "app"
"""Name of the handler that answers HTTP requests; the others are named as in the project."""


class FunctionError(Exception):
    """A function raised an exception, took too long, or its process died."""


@dataclass(frozen=True)
class Call:
    """What a worker is asked to do."""

    handler: str
    function: str
    payload: str
    request_id: str
    timeout: float
    """Seconds."""


class Workers:
    """A pool of processes that have a project's ``app.py`` loaded."""

    def __init__(self, directory: str, environment: Mapping[str, str], size: int) -> None:
        """Start the pool; workers are started when they are needed, at most ``size`` at once."""
        self._directory = directory
        self._environment = dict(environment)
        self._places = threading.BoundedSemaphore(size)
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all: dict[str, _Worker] = {}
        self._count = 0
        self._lock = threading.Lock()
        # Forked from a server that has the application loaded, a worker is there at once; and the
        # server has no threads, which a fork of this process would leave in an unknown state.
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(
            ["__main__", "facial_recognition.local.workers", "app"]
        )

    def run(self, call: Call) -> Any:
        """Run a function in a worker and return its result.

        Raises:
            FunctionError: it did not return one.
        """
        with self._places:
            worker = self._take()
            try:
                result = worker.run(call)
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
        """Return what the worker of this name was asked to run last."""
        with self._lock:
            worker = self._all.get(name)
        return worker.handler if worker else None

    def kill(self, name: str) -> bool:
        """Kill the worker of this name; say whether there was one."""
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

    def run(self, call: Call) -> Any:
        self.busy, self.handler = True, call.handler
        try:
            self.connection.send(call)
            if not self.connection.poll(call.timeout):
                raise FunctionError(f"Task timed out after {call.timeout:.2f} seconds")
            succeeded, answer = self.connection.recv()
        except (EOFError, OSError) as error:
            raise FunctionError("Runtime exited") from error
        self.busy = False
        if not succeeded:
            raise FunctionError(answer)
        return json.loads(answer)


def _serve(
    connection: "Connection[Any, Any]", directory: str, environment: Mapping[str, str]
) -> None:
    """Be a worker, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    os.environ.clear()
    os.environ.update(environment)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    app = importlib.import_module("app").app
    while True:
        try:
            call: Call = connection.recv()
        except EOFError:
            return
        handle = app if call.handler == APP else app.handler_map[call.handler]
        context = LambdaContext(call.function, 128, int(call.timeout * 1000))
        context.aws_request_id = call.request_id
        try:
            answer = True, json.dumps(handle(json.loads(call.payload), context))
        except Exception as error:
            traceback.print_exc()
            answer = False, f"{type(error).__name__}: {error}"
        connection.send(answer)
