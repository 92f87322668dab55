"""Queues: what polls find, and how functions get messages."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laboratory import Laboratory
from localaws.account import arn
from localaws.server import EmbeddedAWS
from localaws.services.lambda_.event_queue import Disorder
from localaws.services.sqs.event_sources import EventSource

QUEUE = "work"
RIGHTS = {
    "Effect": "Allow",
    "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
    "Resource": arn("sqs", QUEUE),
}
ECHO = """
import boto3, json

def handler(event, context):
    (record,) = event["Records"]
    boto3.client("s3").put_object(Bucket="bucket", Key=record["body"], Body=json.dumps(record))
"""
WRITE = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}


class Queue:
    """A queue of the embedded AWS."""

    def __init__(self, laboratory: Laboratory, **attributes: str) -> None:
        self._sqs = laboratory.client("sqs")
        self.url = self._sqs.create_queue(QueueName=QUEUE, Attributes=attributes)["QueueUrl"]

    def send(self, body: str, delay: int = 0) -> None:
        self._sqs.send_message(QueueUrl=self.url, MessageBody=body, DelaySeconds=delay)

    def receive(self, **options: Any) -> list[str]:
        found = self._sqs.receive_message(QueueUrl=self.url, **options)
        return [message["Body"] for message in found.get("Messages", [])]

    def deliver_to(
        self, laboratory: Laboratory, handle: Callable[[str], object], concurrency: int = 5
    ) -> None:
        """Let a function get the messages one by one."""
        functions = laboratory.aws.functions
        functions.add({"not-deployed": lambda event, _: handle(event["Records"][0]["body"])})
        source = EventSource(QUEUE, "not-deployed", batch_size=1, concurrency=concurrency)
        functions.event_sources.add(source, self._sqs)


def test_a_long_poll_waits_for_a_message_and_delays_nobody(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(laboratory)
    is_waiting, found = threading.Event(), list[str]()
    wait = laboratory.aws.polling.wait

    def noted(seen: int, seconds: float | None) -> None:
        if threading.current_thread().name != "event-sources":
            is_waiting.set()
        wait(seen, seconds)

    monkeypatch.setattr(laboratory.aws.polling, "wait", noted)
    poll = threading.Thread(target=lambda: found.extend(queue.receive(WaitTimeSeconds=20)))
    poll.start()
    assert is_waiting.wait(10)
    queue.send("a")
    poll.join(10)

    assert found == ["a"]


def test_a_long_poll_ends_without_a_message(laboratory: Laboratory) -> None:
    assert Queue(laboratory).receive(WaitTimeSeconds=1) == []


def test_a_short_poll_may_miss_messages(laboratory: Laboratory) -> None:
    queue = Queue(laboratory)
    queue.send("a")
    laboratory.aws.polling.falsely_empty = 1.0

    assert queue.receive() == []
    assert queue.receive(WaitTimeSeconds=1) == ["a"]


def test_a_queue_may_poll_long_by_default(laboratory: Laboratory) -> None:
    queue = Queue(laboratory, ReceiveMessageWaitTimeSeconds="1")
    queue.send("a")
    laboratory.aws.polling.falsely_empty = 1.0

    assert queue.receive() == ["a"]


@pytest.mark.parametrize("seconds", [-1, 21])
def test_a_poll_is_not_longer_than_twenty_seconds(laboratory: Laboratory, seconds: int) -> None:
    with pytest.raises(ClientError, match="WaitTimeSeconds"):
        Queue(laboratory).receive(WaitTimeSeconds=seconds)


def test_a_function_gets_each_message_once(laboratory: Laboratory) -> None:
    queue = Queue(laboratory)
    seen: list[str] = []
    for number in range(20):
        queue.send(str(number), delay=number % 2)
    queue.deliver_to(laboratory, seen.append)
    laboratory.aws.functions.drain()

    assert sorted(seen, key=int) == [str(number) for number in range(20)]
    assert queue.receive(WaitTimeSeconds=1) == []


def test_no_more_functions_run_than_the_source_allows(laboratory: Laboratory) -> None:
    queue = Queue(laboratory)
    are_two, lock, most = threading.Event(), threading.Lock(), [0, 0]

    def handle(_: str) -> None:
        with lock:
            most[0] += 1
            most[1] = max(most)
            if most[0] == 2:
                are_two.set()
        assert are_two.wait(10)
        with lock:
            most[0] -= 1

    for number in range(6):
        queue.send(str(number))
    queue.deliver_to(laboratory, handle, concurrency=2)
    laboratory.aws.functions.drain()

    assert most == [0, 2]


def test_a_message_comes_again_until_its_queue_gives_up(laboratory: Laboratory) -> None:
    sqs = laboratory.client("sqs")
    failed = sqs.create_queue(QueueName="failed")["QueueUrl"]
    policy = {"deadLetterTargetArn": arn("sqs", "failed"), "maxReceiveCount": 3}
    queue = Queue(laboratory, RedrivePolicy=json.dumps(policy))
    seen: list[str] = []

    def fail(body: str) -> None:
        seen.append(body)
        raise ValueError(body)

    queue.deliver_to(laboratory, fail)
    queue.send("a")
    laboratory.aws.functions.drain()

    assert seen == ["a"] * 3
    assert sqs.receive_message(QueueUrl=failed)["Messages"][0]["Body"] == "a"


def test_a_deployed_function_gets_messages_with_the_rights_of_its_role(
    laboratory: Laboratory,
) -> None:
    queue = Queue(laboratory)
    laboratory.s3.create_bucket(Bucket="bucket")
    function = laboratory.function(ECHO, RIGHTS, WRITE)
    laboratory.lambda_.create_event_source_mapping(
        EventSourceArn=arn("sqs", QUEUE),
        FunctionName=function,
        BatchSize=1,
        ScalingConfig={"MaximumConcurrency": 2},
    )
    queue.send("a")
    laboratory.aws.functions.drain()

    record = json.load(laboratory.s3.get_object(Bucket="bucket", Key="a")["Body"])
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == arn("sqs", QUEUE)
    assert record["attributes"]["ApproximateReceiveCount"] == "1"


@pytest.mark.parametrize(
    ("statement", "attributes", "options", "message"),
    [
        ({**RIGHTS, "Action": "sqs:SendMessage"}, {}, {}, "call ReceiveMessage on SQS"),
        ({**RIGHTS, "Action": "sqs:ReceiveMessage"}, {}, {}, "call DeleteMessage on SQS"),
        (RIGHTS, {"VisibilityTimeout": "19"}, {}, "19 seconds is less than Function timeout: 20"),
        (RIGHTS, {}, {"BatchSize": 11}, "batch window"),
    ],
)
def test_a_mapping_that_lambda_refuses_is_refused(
    laboratory: Laboratory,
    statement: Any,
    attributes: dict[str, str],
    options: dict[str, Any],
    message: str,
) -> None:
    Queue(laboratory, **attributes)
    function = laboratory.function(ECHO, statement)

    with pytest.raises(laboratory.lambda_.exceptions.InvalidParameterValueException) as refused:
        laboratory.lambda_.create_event_source_mapping(
            EventSourceArn=arn("sqs", QUEUE), FunctionName=function, **options
        )

    assert message in str(refused.value)


def test_messages_are_kept_until_they_are_handled(laboratory: Laboratory, tmp_path: Path) -> None:
    laboratory.clear()
    with EmbeddedAWS(data=str(tmp_path)) as aws:
        queue = Queue(Laboratory(aws))
        for body in ("a", "b", "c"):
            queue.send(body)
        assert queue.receive(WaitTimeSeconds=1, VisibilityTimeout=0) == ["a"]
    laboratory.clear()
    with EmbeddedAWS(data=str(tmp_path)) as aws:
        again, seen = Laboratory(aws), []
        queue = Queue(again)
        queue.deliver_to(again, seen.append, concurrency=1)
        aws.functions.drain()
        assert seen == ["a", "b", "c"]
    laboratory.clear()
    with EmbeddedAWS(data=str(tmp_path)) as aws:
        assert Queue(Laboratory(aws)).receive() == []


def test_events_may_be_dropped(laboratory: Laboratory) -> None:
    seen: list[Any] = []
    laboratory.aws.functions.add({"not-deployed": lambda event, _: seen.append(event)})
    laboratory.aws.functions.disorder = Disorder(dropped=1.0)
    laboratory.aws.functions.notify("not-deployed", {"a": 1})
    laboratory.aws.functions.drain()

    assert seen == []
