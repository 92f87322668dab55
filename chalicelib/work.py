"""The queue of work: photographs that are converged later.

An event from S3 is tried once. If AWS is too busy for it, a task with the photograph's key goes
into this queue. Lambda would keep the event as well. But "if the function can't keep up with
incoming events, events might also be deleted from the queue without being sent to the function"
("How Lambda handles errors and retries with asynchronous invocation" in the AWS Lambda Developer
Guide). SQS loses nothing.
"""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

FIRST_DELAY, LONGEST_DELAY = 2, 900
"""Seconds before a task is tried again; SQS delays no message longer."""


class Task(Struct, frozen=True, rename="camel"):
    """A photograph to converge."""

    key: str
    attempt: str
    """Id of the attempt: the same for all tries, so that each continues the one before."""
    since: float
    """When the photograph was first found to need work: seconds since the epoch."""
    tries: int = 0
    """Number of times that the task was put back."""

    @classmethod
    def new(cls, key: str, attempt: str) -> "Task":
        """Return a task that begins now."""
        return cls(key, attempt, time.time())

    @classmethod
    def from_body(cls, body: str) -> "Task":
        """Return the task in a message.

        Raises:
            msgspec.DecodeError: the message holds no task.
        """
        return msgspec.json.decode(body, type=cls)

    def to_body(self) -> str:
        """Return the task as the text of a message."""
        return msgspec.json.encode(self).decode()


class WorkQueue:
    """The queue of one stage.

    Methods raise :class:`botocore.exceptions.ClientError` when SQS refuses a call.
    """

    def __init__(self, client: "Callable[[], SQSClient]", name: str) -> None:
        """Use a queue.

        Args:
            client: returns the boto3 client; called on first use.
            name: name of the queue.
        """
        self._client = client
        self._name = name
        self._url: str | None = None

    def put(self, task: Task, delay: int = 0) -> None:
        """Add a task.

        Args:
            task: the task.
            delay: seconds before it is tried.
        """
        if self._url is None:
            self._url = self._client().get_queue_url(QueueName=self._name)["QueueUrl"]
        self._client().send_message(
            QueueUrl=self._url, MessageBody=task.to_body(), DelaySeconds=delay
        )

    def put_back(self, task: Task) -> None:
        """Add a task again whose try has failed; the more tries, the later it is tried again."""
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(task.tries, 10))
        # A random part of the delay, so that not all come together.
        delay = round(longest * random.uniform(0.5, 1.0))  # noqa: S311
        self.put(replace(task, tries=task.tries + 1), delay)
