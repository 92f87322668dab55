"""The one executor: its rate, its number at once, its retries, and how it stops."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from botocore.exceptions import ClientError

from chalicelib import telemetry
from chalicelib.errors import ServiceUnavailable
from chalicelib.pacing import PacedExecutor


def test_results_come_with_their_items() -> None:
    assert dict(PacedExecutor().run(str, range(100))) == {n: str(n) for n in range(100)}


def test_no_more_than_the_limit_are_in_progress_at_once() -> None:
    lock = threading.Lock()
    running, most = 0, 0

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    list(PacedExecutor(at_once=3).run(work, range(30)))

    assert most == 3


def test_the_rate_holds_across_runs() -> None:
    executor = PacedExecutor(rate=100)
    started: list[float] = []
    for _ in range(2):
        list(executor.run(lambda _: started.append(time.monotonic()), range(10)))

    assert max(started) - min(started) >= 0.18


def test_items_are_read_when_there_is_a_thread_for_them() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    with closing(PacedExecutor(at_once=2).run(str, items())) as outcomes:
        next(outcomes)

    assert len(read) <= 3


@pytest.mark.parametrize(
    "error",
    [
        ServiceUnavailable("busy"),
        ClientError({"Error": {"Code": "ThrottlingException"}}, "IndexFaces"),
        ClientError({"ResponseMetadata": {"HTTPStatusCode": 503}}, "PutObject"),  # type: ignore[typeddict-item]
    ],
)
def test_an_item_is_tried_again_while_a_service_is_busy(error: Exception) -> None:
    tries: list[int] = []

    def work(item: int) -> str:
        tries.append(item)
        if len(tries) < 3:
            raise error
        return "done"

    assert list(PacedExecutor(pauses=(0.01, 0.01)).run(work, [7])) == [(7, "done")]
    assert tries == [7, 7, 7]


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (ServiceUnavailable("busy"), ()),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject"), (0.01, 0.01)),
        (KeyError("a mistake"), (0.01, 0.01)),
    ],
)
def test_other_errors_end_the_run(error: Exception, pauses: tuple[float, ...]) -> None:
    tries: list[int] = []

    def work(item: int) -> None:
        tries.append(item)
        raise error

    with pytest.raises(type(error)):
        list(PacedExecutor(at_once=1, pauses=pauses).run(work, range(5)))

    assert tries == [0]


def test_an_item_that_waits_for_a_retry_does_not_delay_the_end() -> None:
    def work(_: int) -> None:
        raise ServiceUnavailable("busy")

    def items() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(PacedExecutor(pauses=(60.0,)).run(work, items()))

    assert time.monotonic() - started < 10


def test_the_threads_note_facts_in_the_work_of_the_caller() -> None:
    def work(operation: str) -> None:
        telemetry.current().calls.append((operation, 0.0))

    with telemetry.collect() as collected:
        list(PacedExecutor().run(work, ["GetItem", "PutItem"]))

    assert sorted(collected.calls) == [("GetItem", 0.0), ("PutItem", 0.0)]
