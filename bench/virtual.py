"""Virtual time: threads that sleep as long as they want, in no time.

Only one thread runs at a time. When it sleeps, the clock moves on to the moment at which the next
one wakes up. So half an hour of throttled calls takes seconds, and each run is like the other.
"""

import heapq
import itertools
import threading
from collections.abc import Callable, Iterable


class VirtualTime:
    """A clock that stands in for the module ``time``."""

    def __init__(self) -> None:
        self._now = 0.0
        self._numbers = itertools.count()
        self._sleeping: list[tuple[float, int, threading.Event]] = []

    def time(self) -> float:
        """Return the seconds since the begin."""
        return self._now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        """Let the other threads run until ``seconds`` have passed."""
        awake = threading.Event()
        heapq.heappush(self._sleeping, (self._now + max(0.0, seconds), next(self._numbers), awake))
        self._wake_next()
        awake.wait()

    def run(self, works: Iterable[Callable[[], None]]) -> None:
        """Run functions in threads, until all have ended."""
        threads = []
        for work in works:
            begin = threading.Event()
            heapq.heappush(self._sleeping, (self._now, next(self._numbers), begin))
            threads.append(threading.Thread(target=self._run, args=(work, begin)))
        for thread in threads:
            thread.start()
        self._wake_next()
        for thread in threads:
            thread.join()

    def _run(self, work: Callable[[], None], begin: threading.Event) -> None:
        begin.wait()
        try:
            work()
        finally:
            self._wake_next()

    def _wake_next(self) -> None:
        if self._sleeping:
            self._now, _, awake = heapq.heappop(self._sleeping)
            awake.set()
