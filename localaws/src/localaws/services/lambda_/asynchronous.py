"""Functions that are invoked asynchronously, as AWS Lambda does it: later, and again on errors."""

import heapq
import itertools
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Protocol

from localaws.services.lambda_ import (
    AsynchronousInvocation,
    DeployedFunctions,
    FunctionError,
    TooManyRequests,
)

logger = logging.getLogger(__name__)

Event = dict[str, Any]
Handler = Callable[[Event, str], object]
"""Takes an event and the request id of the invocation."""
Destination = Callable[[Event], None]
"""Takes the record of an invocation of which every try failed."""


class KeptEvents(Protocol):
    """Keeps events until they are handled, in case the process ends before."""

    def add(self, request_id: str, function: str, payload: str) -> None:
        """Keep an event that a function is invoked with."""
        ...

    def remove(self, request_id: str) -> None:
        """Forget an event that was handled."""
        ...

    def waiting(self) -> list[tuple[str, str, str]]:
        """Return request ids, functions and payloads of all that is kept, the oldest first."""
        ...


CONCURRENCY = 4
"""Functions that run at once: more than processors, since they wait for AWS most of the time."""
RETRY_DELAYS = (1.0, 2.0)
"""Seconds before the second and third try."""
AWS_RETRY_DELAYS = (60.0, 120.0)
"""What AWS waits; by these an event ages."""
THROTTLED_DELAY = 0.2
"""Seconds before a function that runs as often as it may is asked again; AWS begins with one."""


@dataclass(order=True)
class _Invocation:
    due: float
    number: int
    function: str = field(compare=False)
    payload: str = field(compare=False)
    request_id: str = field(compare=False)
    """The same for every try."""
    tries: int = field(default=0, compare=False)
    age: float = field(default=0.0, compare=False)
    """Seconds that it would have waited on AWS for being tried again."""
    came: float = field(default_factory=time.monotonic, compare=False)


@dataclass
class Disorder:
    """How events are brought on a bad day: twice, late, and so out of order."""

    duplicates: float = 0.0
    """Probability that an event comes once more."""
    most_delay: float = 0.0
    """Seconds that an event may be late."""
    random: Random = field(default_factory=Random)

    def delays(self) -> list[float]:
        """Draw how much later an event comes, for each time that it comes."""
        times = 2 if self.random.random() < self.duplicates else 1
        return [self.random.uniform(0.0, self.most_delay) for _ in range(times)]


class Functions:
    """Runs functions on worker threads, up to three times each until one try succeeds."""

    def __init__(
        self, workers: int = CONCURRENCY, retry_delays: tuple[float, ...] = RETRY_DELAYS
    ) -> None:
        """Start the workers."""
        self.retry_delays = retry_delays
        self.deployed: DeployedFunctions | None = None
        """Those that were deployed; the others are of a project that is not."""
        self.disorder = Disorder()
        self.on_failure: Destination = lambda record: None
        self.kept_events: KeptEvents | None = None
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

    def __contains__(self, function: str) -> bool:
        """Say whether a function is known."""
        return function in self._handlers or self._is_deployed(function)

    def call(self, function: str, event: Event) -> object:
        """Run a function now, and return its result or raise its exception."""
        return self._call(function, event, str(uuid.uuid4()))

    def invoke(self, function: str, event: Event) -> None:
        """Invoke a function once, some time soon."""
        self._enqueue(function, event, delay=0.0)

    def notify(self, function: str, event: Event) -> None:
        """Bring an event to a function: at least once, in no certain order.

        An event for a function that is not known is dropped, as S3 does.
        """
        if function not in self:
            logger.warning("no function %s: its event is dropped", function)
            return
        for delay in self.disorder.delays():
            self._enqueue(function, event, delay)

    def redeliver(self) -> None:
        """Bring the events that an earlier process has left unhandled."""
        for request_id, function, payload in self.kept_events.waiting() if self.kept_events else ():
            if function in self:
                number, now = next(self._numbers), time.monotonic()
                self._put(_Invocation(now, number, function, payload, request_id))

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

    def _enqueue(self, function: str, event: Event, delay: float) -> None:
        # As text, so that a handler gets a copy of its own each time, and only what JSON has.
        payload = json.dumps(event)
        due = time.monotonic() + delay
        number, request_id = next(self._numbers), str(uuid.uuid4())
        if self.kept_events is not None and function in self._handlers:
            self.kept_events.add(request_id, function, payload)
        self._put(_Invocation(due, number, function, payload, request_id))

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
        how = self._how(invocation.function)
        try:
            self._call(invocation.function, json.loads(invocation.payload), invocation.request_id)
        except TooManyRequests as error:  # which is no try
            if not self._put_later(invocation, THROTTLED_DELAY, how):
                self._give_up(invocation, error, "EventAgeExceeded", how)
                return
        except Exception as error:
            invocation.tries += 1
            logger.warning("%s failed (try %d): %s", invocation.function, invocation.tries, error)
            if invocation.tries > how.retries:
                self._give_up(invocation, error, "RetriesExhausted", how)
                return
            delay = self.retry_delays[invocation.tries - 1]
            invocation.age += AWS_RETRY_DELAYS[invocation.tries - 1] - delay
            if not self._put_later(invocation, delay, how):
                self._give_up(invocation, error, "EventAgeExceeded", how)
        else:
            self._forget(invocation)

    def _put_later(
        self, invocation: _Invocation, delay: float, how: AsynchronousInvocation
    ) -> bool:
        """Bring an event again after a while; False when it will be too old."""
        invocation.due = time.monotonic() + delay
        if invocation.due - invocation.came + invocation.age > how.most_age:
            return False
        self._put(invocation)
        return True

    def _give_up(
        self,
        invocation: _Invocation,
        error: Exception,
        condition: str,
        how: AsynchronousInvocation,
    ) -> None:
        record = _failure_record(invocation, error, condition)
        if how.on_failure is not None:
            try:
                how.on_failure(record)
            except Exception as refused:
                logger.warning("%s: no record of a failure: %s", invocation.function, refused)
        self._forget(invocation)

    def _forget(self, invocation: _Invocation) -> None:
        if self.kept_events is not None:
            self.kept_events.remove(invocation.request_id)

    def _is_deployed(self, function: str) -> bool:
        return self.deployed is not None and function in self.deployed

    def _call(self, function: str, event: Event, request_id: str) -> object:
        if function in self._handlers:
            return self._handlers[function](event, request_id)
        if self.deployed is None:
            raise LookupError(function)
        return json.loads(self.deployed.run(function, json.dumps(event).encode(), request_id))

    def _how(self, function: str) -> AsynchronousInvocation:
        if function in self._handlers or self.deployed is None:
            retries = len(self.retry_delays)
            return AsynchronousInvocation(retries=retries, on_failure=self.on_failure)
        return self.deployed.asynchronous(function)


def _failure_record(invocation: _Invocation, error: Exception, condition: str) -> Event:
    """Describe a failed invocation as Lambda does to an on-failure destination.

    Source: "Capturing records of Lambda asynchronous invocations" in the Lambda Developer Guide.
    """
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "requestContext": {
            "requestId": invocation.request_id,
            "functionArn": f"{function_arn(invocation.function)}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": invocation.tries,
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
    """Return what Lambda answers in place of a result."""
    if isinstance(error, FunctionError):
        return error.payload
    return {"errorMessage": str(error), "errorType": type(error).__name__}


def function_arn(name: str) -> str:
    """Return the ARN of a function of this name."""
    return f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
