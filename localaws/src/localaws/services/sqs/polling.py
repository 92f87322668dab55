"""Polling: how long ReceiveMessage waits for messages, and what it may miss.

A short poll asks only some of the servers of a queue, so it may find nothing although there are
messages. A long poll asks all of them, and waits up to 20 seconds. Source: "Amazon SQS short and
long polling" in the Amazon SQS Developer Guide.
"""

import random
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from moto.sqs.models import Queue, sqs_backends
from werkzeug.wrappers import Response

from localaws.account import ACCOUNT_ID, REGION
from localaws.request import request_of
from localaws.services.iam.permissions import json_parameters
from localaws.wsgi import replace_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_LONGEST_WAIT: Final = 20
LONGEST_DELAY: Final = 900
"""Most seconds that SQS delays a message."""


def queue_named(name: str) -> Any:
    """Return moto's queue of a name; None if there is none. Its attributes are not declared."""
    return sqs_backends[ACCOUNT_ID][REGION].queues.get(name)


def moments_of_messages(queue: Queue) -> list[float]:
    """Return for each message of a queue in how many seconds it is visible; negative if it is."""
    now = time.time()
    with queue._messages_lock:
        return [max(m.visible_at, m.delayed_until) / 1000 - now for m in queue._messages]


class Polling:
    """Layer that waits for messages on behalf of ReceiveMessage, and lets short polls miss some.

    moto would wait inside the request, and no other change of a queue could be written to disk
    meanwhile.
    """

    def __init__(self) -> None:
        self.falsely_empty = 0.0
        """Probability that a short poll finds nothing."""
        self.longest_delay = LONGEST_DELAY
        """Most seconds that a message is delayed; tests that need not wait set it to 0."""
        self._changed = threading.Condition()
        self._changes = 0

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Pass a request on: ReceiveMessage when there is a message, or its time is up."""
        request = request_of(environ)
        if request.service != "sqs":
            return inner(environ, start_response)
        if request.operation == "ReceiveMessage":
            parameters = json_parameters(environ)
            queue = queue_named(str(parameters.get("QueueUrl", "")).rpartition("/")[2])
            seconds = parameters.get("WaitTimeSeconds")
            if seconds is None and queue is not None:
                seconds = int(queue.receive_message_wait_time_seconds)
            is_valid = isinstance(seconds, int) and 0 <= seconds <= _LONGEST_WAIT
            if queue is not None and is_valid:
                if seconds:
                    self._wait_for_message(queue, float(seconds))
                elif random.random() < self.falsely_empty:  # noqa: S311 - chance, not a secret
                    nothing = Response(b"{}", content_type="application/x-amz-json-1.0")
                    return nothing(environ, start_response)
                replace_body(environ, msgspec.json.encode({**parameters, "WaitTimeSeconds": 0}))
        elif request.operation == "SendMessage" and self.longest_delay < LONGEST_DELAY:
            parameters = json_parameters(environ)
            delay = parameters.get("DelaySeconds", 0)
            if isinstance(delay, int) and delay > self.longest_delay:
                shorter = {**parameters, "DelaySeconds": self.longest_delay}
                replace_body(environ, msgspec.json.encode(shorter))
        try:
            return inner(environ, start_response)
        finally:
            self.tell()

    def tell(self) -> None:
        """Wake all that wait for a change."""
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    @property
    def changes(self) -> int:
        """Number of changes so far."""
        return self._changes

    def wait(self, seen: int, seconds: float | None) -> None:
        """Wait for a change.

        Args:
            seen: number of changes that the caller has seen.
            seconds: the longest time to wait; None waits for as long as it takes.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._changes != seen, seconds)

    def _wait_for_message(self, queue: Queue, seconds: float) -> None:
        """Wait until a queue has a visible message, or until time is up."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            seen = self.changes
            moments = moments_of_messages(queue)
            if moments and min(moments) <= 0:
                return
            self.wait(seen, min([left, *moments]))


def _no_mappings(queue: Queue) -> dict[str, Any]:
    return {}


def _ignore_mappings(queue: Queue, mappings: dict[str, Any]) -> None:
    pass


no_mappings: Final = property(_no_mappings, _ignore_mappings)
"""Stands in for ``Queue.lambda_event_source_mappings``: moto would run functions in Docker."""
