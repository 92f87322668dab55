"""Queues as event sources: what Lambda's pollers do, which moto lacks.

Source: "Using Lambda with Amazon SQS" in the AWS Lambda Developer Guide. A poller receives messages
with the rights of the function's role, and invokes the function with them. It deletes them if the
function succeeds. If not, they become visible again when their visibility timeout is over. To spare
a developer the minutes, they become visible again after the delay of a first retry.
"""

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import moto.backends

from localaws.account import ACCOUNT_ID, REGION, arn
from localaws.services.lambda_.errors import TooManyRequests
from localaws.services.lambda_.event_queue import THROTTLED_DELAY, Event, Run
from localaws.services.sqs.polling import Polling, moments_of_messages, queue_named

logger = logging.getLogger(__name__)

USUAL_CONCURRENCY: Final = 5
"""Functions that run at once for a mapping that sets no limit; AWS begins with five, too."""
_MOST_THREADS: Final = 16
_PAUSE: Final = 1.0
"""Seconds after a poller could not receive messages."""


@dataclass(frozen=True)
class EventSource:
    """A function that gets the messages of a queue."""

    queue: str
    function: str
    batch_size: int = 10
    concurrency: int = USUAL_CONCURRENCY


class EventSources:
    """Delivers the messages of queues to functions.

    Args:
        run: runs a function; its exceptions are failed deliveries.
        client_of: returns a boto3 client of SQS with the rights of a function's role, or None if
            the function does not exist.
        polling: tells when queues change.
        retry_delay: seconds after which a message is visible again whose delivery has failed.
    """

    def __init__(
        self,
        run: Run,
        client_of: Callable[[str], Any],
        polling: Polling,
        retry_delay: float,
    ) -> None:
        self._run = run
        self._client_of = client_of
        self._polling = polling
        self._retry_delay = retry_delay
        self._added: dict[EventSource, Any] = {}
        self._running: Counter[EventSource] = Counter()
        self._receiving: Counter[EventSource] = Counter()
        """Running deliveries that have not received their messages yet."""
        self._known: set[EventSource] = set()
        """Sources whose queue was asked for its attributes, as AWS's pollers do."""
        self.pause = threading.Lock()
        """Hold it while moto's backends are emptied: meanwhile they have no attributes."""
        self._lock = threading.Lock()
        self._is_stopping = False
        self._deliveries = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="sqs")
        self._thread = threading.Thread(target=self._watch, name="event-sources", daemon=True)

    def add(self, source: EventSource, client: Any) -> None:
        """Deliver messages to a function that is not deployed.

        Args:
            source: the queue and the function.
            client: the boto3 client of SQS that receives and deletes the messages.
        """
        with self._lock:
            self._added = {s: c for s, c in self._added.items() if s.function != source.function}
            self._added[source] = client
        self._polling.tell()

    def start(self) -> None:
        """Begin to deliver messages."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the running deliveries, and begin no more."""
        self._is_stopping = True
        self._polling.tell()
        if self._thread.is_alive():
            self._thread.join()
        self._deliveries.shutdown()

    def purge(self) -> None:
        """Delete the messages of queues with functions."""
        for source in self._sources():
            if (queue := queue_named(source.queue)) is not None:
                with queue._messages_lock:
                    queue._messages.clear()
        self._polling.tell()

    def forget(self) -> None:
        """Forget the functions that were added, and delete the messages of all queues."""
        self.purge()
        with self._lock:
            self._added = {}

    def is_idle(self) -> bool:
        """Return whether no queue with a function has a message, and no delivery is running."""
        if self._running.total():
            return False
        queues = [queue_named(source.queue) for source in self._sources()]
        return not any(queue is not None and queue._messages for queue in queues)

    def drain(self, timeout: float) -> None:
        """Wait until the queues with functions are empty.

        Raises:
            TimeoutError: that took longer than ``timeout`` seconds.
        """
        end = time.monotonic() + timeout
        while True:
            seen = self._polling.changes
            if self.is_idle():
                return
            if time.monotonic() > end:
                raise TimeoutError("messages are left in queues of functions")
            self._polling.wait(seen, max(0.0, end - time.monotonic()))

    def _sources(self) -> list[EventSource]:
        with self._lock:
            added = list(self._added)
        return [*added, *_mappings()]

    # --- delivering ---

    def _watch(self) -> None:
        while not self._is_stopping:
            seen = self._polling.changes
            seconds: float | None
            try:
                with self.pause:
                    seconds = self._start_deliveries()
            except Exception:
                logger.exception("Messages of queues could not be delivered")
                seconds = _PAUSE
            self._polling.wait(seen, seconds)

    def _start_deliveries(self) -> float | None:
        """Start the deliveries that are due; return the seconds until the next one is due."""
        later: list[float] = []
        for source in self._sources():
            queue = queue_named(source.queue)
            moments = moments_of_messages(queue) if queue is not None else []
            batches = -(-sum(moment <= 0 for moment in moments) // source.batch_size)
            later += [moment for moment in moments if moment > 0]
            with self._lock:
                wanted = batches - self._receiving[source]
                number = max(0, min(wanted, source.concurrency - self._running[source]))
                self._running[source] += number
                self._receiving[source] += number
            for _ in range(number):
                self._deliveries.submit(self._deliver, source)
        return min(later, default=None)

    def _deliver(self, source: EventSource) -> None:
        is_receiving = True
        try:
            client = self._added.get(source) or self._client_of(source.function)
            if client is None:
                raise LookupError(source.function)
            url = f"{client.meta.endpoint_url}/{ACCOUNT_ID}/{source.queue}"
            if source not in self._known:
                client.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
                self._known.add(source)
            messages = client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(10, source.batch_size),
                WaitTimeSeconds=1,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            with self._lock:
                self._receiving[source] -= 1
                is_receiving = False
            if messages:
                self._handle(source, client, url, messages)
        except Exception as error:  # no rights, or no room on the disk
            logger.warning("%s gets no messages of %s: %s", source.function, source.queue, error)
            time.sleep(_PAUSE)
        finally:
            with self._lock:
                self._running[source] -= 1
                self._receiving[source] -= is_receiving
            self._polling.tell()

    def _handle(self, source: EventSource, client: Any, url: str, messages: list[Any]) -> None:
        delay = 0.0
        try:
            self._run(source.function, _event(source, messages), str(uuid.uuid4()))
        except TooManyRequests:
            delay = THROTTLED_DELAY
        except Exception as error:
            logger.warning("%s failed with a message: %s", source.function, error)
            delay = self._retry_delay
        for message in messages:
            place = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
            if delay:
                self._make_visible(source, message, delay)
            else:
                client.delete_message(**place)

    def _make_visible(self, source: EventSource, message: Any, delay: float) -> None:
        """Let a message be received again after a delay."""
        queue = queue_named(source.queue)
        if queue is None:
            return
        with queue._messages_lock:
            for kept in queue._messages:
                if kept.id == message["MessageId"]:
                    kept.visible_at = (time.time() + delay) * 1000


def _mappings() -> Iterator[EventSource]:
    """Yield the event source mappings of deployed functions."""
    backend = moto.backends.get_backend("lambda")[ACCOUNT_ID][REGION]
    for mapping in list(backend._event_source_mappings.values()):
        if mapping.enabled and ":sqs:" in mapping.event_source_arn:
            scaling = mapping.scaling_config or {}
            yield EventSource(
                mapping.event_source_arn.rpartition(":")[2],
                mapping.function_arn.split(":")[6],
                mapping.batch_size,
                scaling.get("MaximumConcurrency", USUAL_CONCURRENCY),
            )


def _event(source: EventSource, messages: list[Any]) -> Event:
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message.get("Attributes", {}),
                "messageAttributes": message.get("MessageAttributes", {}),
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": arn("sqs", source.queue),
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }
