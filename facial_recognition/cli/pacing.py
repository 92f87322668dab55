"""Many calls to AWS: a few at once, no more of them a second than its quotas allow."""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import ServiceUnavailable, Throttled, as_problem

AT_ONCE = 8
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between tries of a call that AWS is too busy for."""

T = TypeVar("T")
R = TypeVar("R")


class Pace:
    """Works through items in parallel, within a rate."""

    def __init__(self, rate: float, at_once: int = AT_ONCE) -> None:
        """Take how many items may be begun in a second, and how many be under way."""
        self._interval = 1 / rate
        self._at_once = at_once
        self._stopping = threading.Event()

    def through(self, work: Callable[[T], R], items: Iterable[T]) -> Generator[tuple[T, R]]:
        """Do the work on each item; give item and outcome in the order in which they finish.

        An exception of the work ends it all, once what is under way has finished; so does an
        interrupt.
        """
        running: dict[Future[R], T] = {}
        next_start = time.monotonic()
        with ThreadPoolExecutor(self._at_once) as threads:
            try:
                for item in items:
                    while len(running) >= self._at_once:
                        yield from _finished(running)
                    time.sleep(max(0.0, next_start - time.monotonic()))
                    next_start = max(next_start, time.monotonic()) + self._interval
                    running[threads.submit(self._patiently, work, item)] = item
                while running:
                    yield from _finished(running)
            finally:
                self._stopping.set()
                for future in running:
                    future.cancel()

    def _patiently(self, work: Callable[[T], R], item: T) -> R:
        """Try again and again what AWS is too busy for, unless all is to end."""
        for pause in PAUSES:
            try:
                return work(item)
            except (ClientError, BotoCoreError, ServiceUnavailable) as error:
                if not is_passing(error):
                    raise
                # Not all of them again at the same moment.
                if self._stopping.wait(pause * random.uniform(0.5, 1.0)):  # noqa: S311
                    raise
        return work(item)


def is_passing(error: Exception) -> bool:
    """Say whether the same call may succeed later."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return isinstance(as_problem(error), Throttled) or status >= 500
    return isinstance(error, ServiceUnavailable)


def _finished(running: dict[Future[R], T]) -> list[tuple[T, R]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    return [(running.pop(future), future.result()) for future in done]
