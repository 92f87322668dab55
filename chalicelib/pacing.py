"""Run a function on many items: a few at once, and only so many started per second.

This keeps bulk work within the quotas of AWS.
"""

import math
import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

from botocore.exceptions import ClientError

from chalicelib import telemetry
from chalicelib.errors import ServiceUnavailable, Throttled, as_problem

AT_ONCE = 8
"""Items in progress at the same time."""
RETRY_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between the tries of an item for which AWS is too busy."""

T = TypeVar("T")
R = TypeVar("R")


class PacedExecutor:
    """Runs functions on items in threads, within a rate."""

    def __init__(
        self, rate: float = math.inf, *, at_once: int = AT_ONCE, pauses: Sequence[float] = ()
    ) -> None:
        """Set the pace; it holds across all calls of :meth:`run`.

        Args:
            rate: most items started per second.
            at_once: most items in progress at the same time.
            pauses: seconds before each retry of an item that failed because a service was too busy
                or answered with a server error. Without pauses, no item is tried again.
        """
        self._interval = 1 / rate
        self._at_once = at_once
        self._pauses = pauses
        self._next_start = 0.0

    def run(self, work: Callable[[T], R], items: Iterable[T]) -> Generator[tuple[T, R]]:
        """Call ``work`` with each item; yield items and results in the order they finish.

        The next item is read only when there is a thread for it. What ``work`` notes for the log
        (:func:`chalicelib.telemetry.current`) is noted where the calling thread notes. An exception
        of ``work`` or an interrupt ends the run, after the items in progress have finished. Close
        the generator when you stop early.
        """
        in_context = telemetry.carried(work)
        is_stopping = threading.Event()
        running: dict[Future[R], T] = {}
        with ThreadPoolExecutor(self._at_once) as threads:
            try:
                for item in items:
                    while len(running) >= self._at_once:
                        yield from _finished(running)
                    time.sleep(max(0.0, self._next_start - time.monotonic()))
                    self._next_start = max(self._next_start, time.monotonic()) + self._interval
                    future = threads.submit(
                        retry, partial(in_context, item), self._pauses, is_stopping
                    )
                    running[future] = item
                while running:
                    yield from _finished(running)
            finally:
                is_stopping.set()
                for future in running:
                    future.cancel()


def retry(
    work: Callable[[], R], pauses: Sequence[float], is_stopping: threading.Event | None = None
) -> R:
    """Call a function until it succeeds, but no longer if its error will not pass.

    Args:
        work: the function.
        pauses: seconds before each retry.
        is_stopping: ends a pause, and the retries.
    """
    is_stopping = is_stopping or threading.Event()
    for pause in pauses:
        try:
            return work()
        except (ClientError, ServiceUnavailable) as error:
            if not _is_passing(error):
                raise
            # A random part of the pause, so that not all retry at once.
            if is_stopping.wait(pause * random.uniform(0.5, 1.0)):  # noqa: S311
                raise
    return work()


def _is_passing(error: ClientError | ServiceUnavailable) -> bool:
    """Return whether the same call may succeed later."""
    if isinstance(error, ServiceUnavailable):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return isinstance(as_problem(error), Throttled) or status >= 500


def _finished(running: dict[Future[R], T]) -> list[tuple[T, R]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    return [(running.pop(future), future.result()) for future in done]
