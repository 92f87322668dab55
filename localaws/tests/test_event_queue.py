"""Asynchronous invocations are repeated, recorded when they fail, and delivered in disorder."""

import threading
from random import Random

import pytest

from localaws.services.lambda_.event_queue import Disorder, Event
from localaws.services.lambda_.functions import Functions


def test_a_function_that_fails_is_tried_three_times_and_then_kept() -> None:
    calls: list[Event] = []
    ids: set[str] = set()

    def fail(event: Event, request_id: str) -> None:
        calls.append(event)
        ids.add(request_id)
        raise RuntimeError("no")

    functions, records = Functions(retry_delays=(0.01, 0.02)), []
    functions.add({"f": fail}, on_failure=records.append)
    functions.notify("f", {"n": 1})
    functions.drain()
    functions.stop()

    assert calls == [{"n": 1}] * 3
    (record,) = records
    assert record["requestPayload"] == {"n": 1}
    assert {record["requestContext"]["requestId"]} == ids
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["requestContext"]["functionArn"].endswith(":function:f:$LATEST")
    assert record["responsePayload"] == {"errorMessage": "no", "errorType": "RuntimeError"}


def test_a_function_that_succeeds_at_last_has_not_failed() -> None:
    calls: list[Event] = []

    def fail_once(event: Event, request_id: str) -> None:
        calls.append(event)
        if len(calls) == 1:
            raise RuntimeError("once")

    functions, records = Functions(retry_delays=(0.01, 0.01)), []
    functions.add({"f": fail_once}, on_failure=records.append)
    functions.notify("f", {})
    functions.drain()
    functions.stop()

    assert len(calls) == 2
    assert not records


def test_a_waiting_retry_does_not_hold_up_the_others() -> None:
    done = threading.Event()

    def fail(event: Event, request_id: str) -> None:
        raise RuntimeError("no")

    functions = Functions(workers=1, retry_delays=(60.0,))
    functions.add({"fail": fail, "work": lambda *_: done.set()})
    functions.notify("fail", {})
    functions.notify("work", {})

    assert done.wait(10)
    with pytest.raises(TimeoutError, match="1 invocations"):
        functions.drain(timeout=0.01)
    functions.stop()


def test_an_event_for_no_function_is_dropped() -> None:
    functions = Functions()
    functions.notify("nobody", {})
    functions.drain()
    functions.stop()


def test_events_may_come_twice_late_and_out_of_order() -> None:
    seen: list[int] = []
    functions = Functions()
    functions.disorder = Disorder(duplicates=0.5, most_delay=0.05, random=Random(1))
    functions.add({"f": lambda event, _: seen.append(event["n"])})
    for n in range(20):
        functions.notify("f", {"n": n})
    functions.drain()
    functions.stop()

    assert set(seen) == set(range(20))
    assert len(seen) > 20
    assert seen != sorted(seen)
