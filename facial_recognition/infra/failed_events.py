"""The queue of failed events: look at them, and give them back to their functions.

Lambda puts an event into the queue when every try to handle it failed. A redrive gives it back to
the function that failed, and Lambda tries it three times again. An event that fails again comes
back into the queue. A function may get an event twice without harm, so a redrive can be stopped at
any time and no event is lost.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import boto3

BATCH = 10


@dataclass(frozen=True)
class FailedEvent:
    """An event whose every try failed, and its place in the queue."""

    receipt: str
    time: str
    """ISO 8601, in UTC."""
    function_arn: str
    """Without the version."""
    error: str
    payload: dict[str, Any]

    @property
    def function_name(self) -> str:
        """The function that failed."""
        return self.function_arn.rpartition(":")[2]

    @property
    def keys(self) -> list[str]:
        """The keys of the event's photographs."""
        records = self.payload.get("Records", [])
        return [unquote_plus(record["s3"]["object"]["key"]) for record in records]


class FailedEventsQueue:
    """The queue of failed events, which is the on-failure destination of the event handlers."""

    def __init__(self, session: boto3.Session, name: str) -> None:
        """Look up the queue.

        Args:
            session: of the account and region.
            name: the queue's name.

        Raises:
            botocore.exceptions.ClientError: there is no such queue, or AWS refuses the call.
        """
        self._sqs = session.client("sqs")
        self._lambda = session.client("lambda")
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
                record = json.loads(message["Body"])
                yield FailedEvent(
                    receipt=message["ReceiptHandle"],
                    time=record["timestamp"],
                    function_arn=record["requestContext"]["functionArn"].removesuffix(":$LATEST"),
                    error=record.get("responsePayload", {}).get("errorMessage", ""),
                    payload=record["requestPayload"],
                )

    def redrive(self, event: FailedEvent) -> None:
        """Give an event back to its function, and then delete it from the queue."""
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
        answer = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=BATCH, VisibilityTimeout=60
        )
        return answer.get("Messages", [])
