"""Lambda's queue of asynchronous invocations: events that functions handle later, with retries."""

import heapq
import itertools
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any, Final, Protocol

from localaws.account import arn
from localaws.services.lambda_.errors import FunctionError, TooManyRequests

logger = logging.getLogger(__name__)

Event = dict[str, Any]
Run = Callable[[str, Event, str], object]
"""Runs a function, given its name, an event and the request id of the invocation."""
Destination = Callable[[Event], None]
"""Receives the record of an invocation that has failed for good."""

CONCURRENCY: Final = 4
"""Functions that run at once: more than processors, since they mostly wait for AWS."""
RETRY_DELAYS: Final = (1.0, 2.0)
"""Seconds before the second and the third attempt."""
AWS_RETRY_DELAYS: Final = (60.0, 120.0)
"""The seconds that AWS waits. The age of an event is counted with these."""
THROTTLED_DELAY: Final = 0.2
"""Seconds before a function is tried again whose concurrency is used up; AWS begins with one."""
OUTAGE_DELAY: Final = 1.0
"""Seconds before it is tried again whether the disk takes what a function would store."""
MAXIMUM_RETRY_ATTEMPTS: Final = 2
MAXIMUM_EVENT_AGE: Final = 6 * 3600.0


@dataclass(frozen=True)
class EventInvokeConfig:
    """Lambda's settings for the asynchronous invocations of a function."""

    maximum_retry_attempts: int = MAXIMUM_RETRY_ATTEMPTS
    maximum_event_age: float = MAXIMUM_EVENT_AGE
    """Seconds after which an event is given up."""
    on_failure: Destination | None = None


class KeptEvents(Protocol):
    """Keeps events until they are handled, in case the process ends before."""

    def add(self, request_id: str, function: str, payload: str, stored: Callable[[], None]) -> None:
        """Store an event for a function, and call ``stored`` afterwards."""
        ...

    def remove(self, request_id: str) -> None:
        """Remove an event that was handled."""
        ...

    def are_storable(self) -> bool:
        """Return whether the disk takes changes, as far as is known."""
        ...

    def waiting(self) -> list[tuple[str, str, str]]:
        """Return request ids, functions and payloads of all stored events, the oldest first."""
        ...


@dataclass
class Disorder:
    """How badly events are delivered: twice, late, and so out of order."""

    duplicates: float = 0.0
    """Probability that an event is delivered twice."""
    most_delay: float = 0.0
    """The longest delay of an event, in seconds."""
    random: Random = field(default_factory=Random)

    def delays(self) -> list[float]:
        """Return a random delay for each delivery of an event."""
        times = 2 if self.random.random() < self.duplicates else 1
        return [self.random.uniform(0.0, self.most_delay) for _ in range(times)]


@dataclass(order=True)
class _Invocation:
    due: float
    number: int
    function: str = field(compare=False)
    payload: str = field(compare=False)
    request_id: str = field(compare=False)
    """The same for all attempts."""
    attempts: int = field(default=0, compare=False)
    age: float = field(default=0.0, compare=False)
    """Seconds that AWS would have waited longer between the attempts."""
    came: float = field(default_factory=time.monotonic, compare=False)


class EventQueue:
    """Runs functions on worker threads, up to three times each until an attempt succeeds.

    Args:
        run: runs a function; its exceptions are failed attempts.
        config_of: returns the settings of a function, by name.
        workers: the number of threads.
        retry_delays: seconds before the second and the third attempt.
        kept_events: stores events until they are handled; None stores nothing.
    """

    def __init__(
        self,
        run: Run,
        config_of: Callable[[str], EventInvokeConfig],
        *,
        workers: int = CONCURRENCY,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
        kept_events: KeptEvents | None = None,
    ) -> None:
        self._call = run
        self._config_of = config_of
        self._retry_delays = retry_delays
        self._kept_events = kept_events
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

    def put(self, function: str, event: Event, *, delay: float = 0.0, keep: bool = False) -> None:
        """Queue an event.

        Args:
            function: the name of the function that handles it.
            event: a copy is queued, as JSON.
            delay: seconds before the first attempt.
            keep: store the event until it is handled.
        """
        payload, request_id = json.dumps(event), str(uuid.uuid4())
        due = time.monotonic() + delay
        number = next(self._numbers)
        invocation = _Invocation(due, number, function, payload, request_id)
        if keep and self._kept_events is not None:
            queue = partial(self._put, invocation)
            self._kept_events.add(request_id, function, payload, queue)
        else:
            self._put(invocation)

    def put_kept(self, is_known: Callable[[str], bool]) -> None:
        """Queue the events that an earlier process has stored for functions that are known."""
        stored = self._kept_events.waiting() if self._kept_events is not None else []
        for request_id, function, payload in stored:
            if is_known(function):
                number, now = next(self._numbers), time.monotonic()
                self._put(_Invocation(now, number, function, payload, request_id))

    def drain(self, timeout: float) -> None:
        """Wait until no event is waiting and no function is running.

        Raises:
            TimeoutError: that took longer than ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(self._is_idle, timeout):
                raise TimeoutError(f"{len(self._waiting) + self._running} invocations are left")

    def stop(self) -> None:
        """Finish the running functions, drop the waiting events, end the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _is_idle(self) -> bool:
        return not self._waiting and not self._running

    def _put(self, invocation: _Invocation) -> None:
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
        """Wait for an invocation that is due, and return it; None when the thread must end."""
        with self._changed:
            while not self._stopping:
                wait = self._waiting[0].due - time.monotonic() if self._waiting else None
                if wait is not None and wait <= 0:
                    self._running += 1
                    return heapq.heappop(self._waiting)
                self._changed.wait(wait)
            return None

    def _run(self, invocation: _Invocation) -> None:
        if self._kept_events is not None and not self._kept_events.are_storable():
            invocation.due = time.monotonic() + OUTAGE_DELAY
            self._put(invocation)
            return
        config = self._config_of(invocation.function)
        try:
            self._call(invocation.function, json.loads(invocation.payload), invocation.request_id)
        except TooManyRequests as error:  # this does not count as an attempt
            if not self._put_again(invocation, THROTTLED_DELAY, config):
                self._give_up(invocation, error, "EventAgeExceeded", config)
        except Exception as error:
            invocation.attempts += 1
            logger.warning(
                "%s failed (attempt %d): %s", invocation.function, invocation.attempts, error
            )
            if invocation.attempts > config.maximum_retry_attempts:
                self._give_up(invocation, error, "RetriesExhausted", config)
                return
            delay = self._retry_delays[invocation.attempts - 1]
            invocation.age += AWS_RETRY_DELAYS[invocation.attempts - 1] - delay
            if not self._put_again(invocation, delay, config):
                self._give_up(invocation, error, "EventAgeExceeded", config)
        else:
            self._remove(invocation)

    def _put_again(self, invocation: _Invocation, delay: float, config: EventInvokeConfig) -> bool:
        """Queue an invocation again after a delay; return False if it will be too old by then."""
        invocation.due = time.monotonic() + delay
        if invocation.due - invocation.came + invocation.age > config.maximum_event_age:
            return False
        self._put(invocation)
        return True

    def _give_up(
        self,
        invocation: _Invocation,
        error: Exception,
        condition: str,
        config: EventInvokeConfig,
    ) -> None:
        record = _failure_record(invocation, error, condition)
        if config.on_failure is not None:
            try:
                config.on_failure(record)
            except Exception as refused:  # a kept event is tried again after a restart
                logger.warning(
                    "%s: the record of a failure cannot be sent: %s", invocation.function, refused
                )
                return
        self._remove(invocation)

    def _remove(self, invocation: _Invocation) -> None:
        if self._kept_events is not None:
            self._kept_events.remove(invocation.request_id)


def _failure_record(invocation: _Invocation, error: Exception, condition: str) -> Event:
    """Return the record that Lambda sends to an on-failure destination.

    Source: "Capturing records of Lambda asynchronous invocations" in the Lambda Developer Guide.
    """
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "requestContext": {
            "requestId": invocation.request_id,
            "functionArn": f"{arn('lambda', f'function:{invocation.function}')}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": invocation.attempts,
        },
        "requestPayload": json.loads(invocation.payload),
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": error_payload(error),
    }


def error_payload(error: Exception) -> Any:
    """Return the payload that Lambda answers instead of a result."""
    if isinstance(error, FunctionError):
        return error.payload
    return {"errorMessage": str(error), "errorType": type(error).__name__}
