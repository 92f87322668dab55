"""The queue of work: photographs for which AWS is too busy are converged later."""

import json
from typing import Any

import pytest

import app
from chalicelib.work import LONGEST_DELAY, Task, WorkQueue
from localaws.middleware.faults import Fault
from sample_photographs import photograph, resized
from tests.support.processes import run_faces
from tests.support.service import Service

KEY = "faces/obama/a b.jpg"
OBAMA = resized(photograph("obama.jpg"), 400)


def calls(service: Service, operation: str) -> int:
    return sum(call == operation for _, call in service.aws.faults.calls)


@pytest.mark.parametrize("operation", ["IndexFaces", "DeleteFaces"])
def test_a_throttled_event_goes_through_the_queue(service: Service, operation: str) -> None:
    if operation == "DeleteFaces":
        service.upload(KEY, OBAMA)
    service.aws.faults.clear()
    service.aws.faults.script(Fault(operation, "throttle", caller="worker", times=3))
    if operation == "DeleteFaces":
        service.remove(KEY)
    else:
        service.upload(KEY, OBAMA)

    assert calls(service, "SendMessage") == 1
    assert calls(service, operation) == 4
    assert service.whose(OBAMA) == (None if operation == "DeleteFaces" else "obama")
    service.assert_consistent()


def test_a_service_that_does_not_answer_counts_as_busy(service: Service) -> None:
    fault = Fault("UpdateItem", "error before", caller="worker", times=3, status=503)
    service.aws.faults.script(fault)
    service.upload(KEY, OBAMA)

    assert calls(service, "SendMessage") == 1
    service.assert_consistent()


def test_work_that_is_still_throttled_goes_back(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = 1 + len(app.PAUSES) + 1  # the event's try, and all of the first message
    service.aws.faults.script(Fault("IndexFaces", "throttle", caller="worker", times=often))
    service.upload(KEY, OBAMA)

    assert calls(service, "SendMessage") == 2
    service.assert_consistent()


def test_a_task_that_fails_for_another_reason_can_be_redriven(service: Service) -> None:
    denied = Fault(
        "IndexFaces", "error before", times=0, call=2, code="AccessDeniedException", status=400
    )
    service.aws.faults.script(Fault("IndexFaces", "throttle"), denied)
    service.upload(KEY, OBAMA)
    service.aws.polling.falsely_empty = 1.0

    listed = json.loads(run_faces("redrive", "--list", "--json").stdout)
    assert [(event["function"], event["keys"]) for event in listed] == [("work", [KEY])]
    service.aws.faults.clear()
    assert "1 events given back" in run_faces("redrive").stdout
    service.aws.polling.falsely_empty = 0.0
    service.settle()

    assert service.whose(OBAMA) == "obama"
    service.assert_consistent()


class Sent:
    """A client of SQS that keeps the messages."""

    def __init__(self) -> None:
        self.delays: list[int] = []
        self.bodies: list[str] = []

    def get_queue_url(self, **_: Any) -> Any:
        return {"QueueUrl": "url"}

    def send_message(self, *, MessageBody: str, DelaySeconds: int, **_: Any) -> None:  # noqa: N803
        self.bodies.append(MessageBody)
        self.delays.append(DelaySeconds)


def test_the_delay_grows_with_the_tries() -> None:
    sent = Sent()
    queue = WorkQueue(lambda: sent, "work")  # type: ignore[arg-type, return-value]
    task = Task.new(KEY, "attempt")
    for _ in range(20):
        queue.put_back(task)
        task = Task.from_body(sent.bodies[-1])

    assert task.tries == 20
    assert task.attempt == "attempt"
    for tries, delay in enumerate(sent.delays):
        longest = min(LONGEST_DELAY, 2 ** (tries + 1))
        assert longest / 2 <= delay <= longest
