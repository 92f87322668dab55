"""Functions that are invoked asynchronously, as AWS Lambda does it: later, and again on errors."""

import heapq
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

logger = logging.getLogger(__name__)

Event = dict[str, Any]
Handler = Callable[[Event], object]

RETRY_DELAYS = (1.0, 2.0)
"""Seconds before the second and third try; AWS waits one and two minutes."""


@dataclass(order=True)
class _Invocation:
    due: float
    number: int
    function: str = field(compare=False)
    payload: str = field(compare=False)
    tries: int = field(default=0, compare=False)


class Functions:
    """Runs functions on worker threads, up to three times each until one try succeeds."""

    def __init__(self, workers: int = 2, retry_delays: tuple[float, ...] = RETRY_DELAYS) -> None:
        """Start the workers."""
        self.retry_delays = retry_delays
        self.failed: list[tuple[str, Event]] = []
        """Invocations of which every try failed."""
        self._handlers: dict[str, Handler] = {}
        self._waiting: list[_Invocation] = []
        self._running = 0
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"lambda-{n}", daemon=True)
            for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, handlers: Mapping[str, Handler]) -> None:
        """Make functions known by their names."""
        self._handlers.update(handlers)

    def invoke(self, function: str, event: Event) -> None:
        """Invoke a function some time soon; a name that is not known is ignored, as S3 does."""
        if function not in self._handlers:
            logger.warning("no function %s: its event is dropped", function)
            return
        # As text, so that a handler gets a copy of its own each time, and only what JSON has.
        number = next(self._numbers)
        self._enqueue(_Invocation(time.monotonic(), number, function, json.dumps(event)))

    def drain(self, timeout: float = 60.0) -> None:
        """Wait until nothing is running or waiting.

        Raises:
            TimeoutError: something still is after ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(self._is_idle, timeout):
                raise TimeoutError(f"{len(self._waiting) + self._running} invocations are left")

    def stop(self) -> None:
        """Finish what is running, drop what is waiting, end the workers."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _is_idle(self) -> bool:
        return not self._waiting and not self._running

    def _enqueue(self, invocation: _Invocation) -> None:
        with self._changed:
            heapq.heappush(self._waiting, invocation)
            self._changed.notify()

    def _work(self) -> None:
        while (invocation := self._next()) is not None:
            self._run(invocation)
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _next(self) -> _Invocation | None:
        """Wait for an invocation that is due; None when the workers are to end."""
        with self._changed:
            while not self._stopping:
                wait = self._waiting[0].due - time.monotonic() if self._waiting else None
                if wait is not None and wait <= 0:
                    self._running += 1
                    return heapq.heappop(self._waiting)
                self._changed.wait(wait)
            return None

    def _run(self, invocation: _Invocation) -> None:
        try:
            self._handlers[invocation.function](json.loads(invocation.payload))
        except Exception:
            logger.exception("function %s failed", invocation.function)
            if invocation.tries < len(self.retry_delays):
                invocation.due = time.monotonic() + self.retry_delays[invocation.tries]
                invocation.tries += 1
                self._enqueue(invocation)
            else:
                self.failed.append((invocation.function, json.loads(invocation.payload)))
