"""Look at the events that no try could handle, and put them through again.

    python -m facial_recognition.infra.redrive --stage prod --list
    python -m facial_recognition.infra.redrive --stage prod

Each is given back to the function that failed, which is tried three times again; what fails then
comes back into the queue. An event that comes twice does no harm, so none is lost when this stops
half-way.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import boto3

from chalicelib.settings import Settings
from facial_recognition.infra import stages

BATCH = 10


@dataclass(frozen=True)
class FailedEvent:
    """An invocation of which every try failed, and its place in the queue."""

    receipt: str
    time: str
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
        """The photographs that it is about."""
        records = self.payload.get("Records", [])
        return [unquote_plus(record["s3"]["object"]["key"]) for record in records]


class Queue:
    """The queue of failed events, which is the on-failure destination of the event handlers."""

    def __init__(self, session: boto3.Session, name: str) -> None:
        """Find the queue of a name."""
        self._sqs = session.client("sqs")
        self._lambda = session.client("lambda")
        self._url = self._sqs.get_queue_url(QueueName=name)["QueueUrl"]

    def receive(self) -> Iterator[FailedEvent]:
        """Go through the events; each is hidden from others for a minute."""
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
        """Give an event back to its function; it leaves the queue only after that."""
        payload = json.dumps(event.payload).encode()
        self._lambda.invoke(
            FunctionName=event.function_arn, InvocationType="Event", Payload=payload
        )
        self.discard(event)

    def discard(self, event: FailedEvent) -> None:
        """Take an event out of the queue for good."""
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=event.receipt)

    def put_back(self, event: FailedEvent) -> None:
        """Show an event to others again."""
        self._sqs.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=event.receipt, VisibilityTimeout=0
        )

    def _batch(self) -> Any:
        answer = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=BATCH, VisibilityTimeout=60
        )
        return answer.get("Messages", [])


def main() -> int:
    """List or redrive the failed events."""
    parser = argparse.ArgumentParser(
        prog="python -m facial_recognition.infra.redrive", description=__doc__
    )
    parser.add_argument("--stage", default="dev", help="a stage of .chalice/config.json (dev)")
    parser.add_argument("--list", action="store_true", help="only show what is in the queue")
    options = parser.parse_args()
    try:
        stages.use(options.stage)
    except stages.UnknownStage as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    settings = Settings.from_environment(os.environ)
    queue = Queue(boto3.Session(), settings.failed_events_queue)
    events = []
    for event in queue.receive():
        events.append(event)
        print(event.time, event.function_name, *event.keys, "-", event.error)
        if not options.list:
            queue.redrive(event)
    if options.list:
        for event in events:
            queue.put_back(event)
    print(f"{len(events)} events", "in the queue" if options.list else "put through again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
