"""The queue of failed events: look at them, and give them back to their functions.

Lambda puts an event of S3 into the queue when every try to handle it failed, and SQS a task of the
queue of work. A redrive gives it back, and it is tried three times again. What fails again comes
back into the queue. A photograph may be handled twice without harm, so a redrive can be stopped at
any time and no event is lost.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

import boto3
from msgspec.structs import replace

from chalicelib.work import Task, WorkQueue
from facial_recognition.infra.stages import WORK

BATCH = 10
WAIT = 2
"""Seconds that a poll of the queue waits for messages."""


@dataclass(frozen=True)
class FailedEvent:
    """An event or a task whose every try failed, and its place in the queue."""

    receipt: str
    time: str
    """ISO 8601, in UTC."""
    function_arn: str
    """Without the version; empty for a task."""
    error: str
    payload: dict[str, Any]
    """The event; empty for a task."""
    task: Task | None = None

    @property
    def function_name(self) -> str:
        """The function that failed."""
        return WORK if self.task else self.function_arn.rpartition(":")[2]

    @property
    def keys(self) -> list[str]:
        """The keys of the photographs."""
        if self.task:
            return [self.task.key]
        records = self.payload.get("Records", [])
        return [unquote_plus(record["s3"]["object"]["key"]) for record in records]


class FailedEventsQueue:
    """The queue of failed events.

    It is the on-failure destination of the event handlers, and the dead-letter queue of the work.
    """

    def __init__(self, session: boto3.Session, name: str, work: WorkQueue) -> None:
        """Look up the queue.

        Args:
            session: of the account and region.
            name: the queue's name.
            work: gets tasks back.

        Raises:
            botocore.exceptions.ClientError: there is no such queue, or AWS refuses the call.
        """
        self._sqs = session.client("sqs")
        self._lambda = session.client("lambda")
        self._work = work
        self._url = self._sqs.get_queue_url(QueueName=name)["QueueUrl"]

    def events(self) -> list[FailedEvent]:
        """Return the events and leave them in the queue."""
        events = [*self.receive()]
        for event in events:
            self.put_back(event)
        return events

    def redrive_all(self) -> Iterator[FailedEvent]:
        """Give each event back to its function, and yield it."""
        for event in self.receive():
            self.redrive(event)
            yield event

    def receive(self) -> Iterator[FailedEvent]:
        """Yield the events; the queue hides each from other receivers for a minute."""
        while messages := self._batch():
            for message in messages:
                yield _failed_event(message)

    def redrive(self, event: FailedEvent) -> None:
        """Give an event back to its function, and then delete it from the queue."""
        if event.task:
            self._work.put(replace(event.task, tries=0))
        else:
            payload = json.dumps(event.payload).encode()
            self._lambda.invoke(
                FunctionName=event.function_arn, InvocationType="Event", Payload=payload
            )
        self.discard(event)

    def discard(self, event: FailedEvent) -> None:
        """Delete an event from the queue."""
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=event.receipt)

    def put_back(self, event: FailedEvent) -> None:
        """Let other receivers see an event again."""
        self._sqs.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=event.receipt, VisibilityTimeout=0
        )

    def _batch(self) -> Any:
        # A short poll may find nothing although there are messages.
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=60,
            WaitTimeSeconds=WAIT,
            AttributeNames=["SentTimestamp"],
        )
        return answer.get("Messages", [])


def _failed_event(message: Any) -> FailedEvent:
    body = json.loads(message["Body"])
    if "requestPayload" not in body:
        sent = int(message["Attributes"]["SentTimestamp"]) / 1000
        return FailedEvent(
            receipt=message["ReceiptHandle"],
            time=datetime.fromtimestamp(sent, UTC).isoformat(timespec="milliseconds"),
            function_arn="",
            error="the log of the function tells why",
            payload={},
            task=Task.from_body(message["Body"]),
        )
    return FailedEvent(
        receipt=message["ReceiptHandle"],
        time=body["timestamp"],
        function_arn=body["requestContext"]["functionArn"].removesuffix(":$LATEST"),
        error=body.get("responsePayload", {}).get("errorMessage", ""),
        payload=body["requestPayload"],
    )
