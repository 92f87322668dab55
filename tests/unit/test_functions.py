import threading

import pytest

from localaws.functions import Event, Functions


def test_a_function_that_fails_is_tried_three_times_and_then_kept() -> None:
    calls: list[Event] = []

    def fail(event: Event) -> None:
        calls.append(event)
        raise RuntimeError("no")

    functions = Functions(retry_delays=(0.01, 0.02))
    functions.add({"f": fail})
    functions.invoke("f", {"n": 1})
    functions.drain()
    functions.stop()

    assert calls == [{"n": 1}] * 3
    assert functions.failed == [("f", {"n": 1})]


def test_a_function_that_succeeds_at_last_has_not_failed() -> None:
    calls: list[Event] = []

    def fail_once(event: Event) -> None:
        calls.append(event)
        if len(calls) == 1:
            raise RuntimeError("once")

    functions = Functions(retry_delays=(0.01, 0.01))
    functions.add({"f": fail_once})
    functions.invoke("f", {})
    functions.drain()
    functions.stop()

    assert len(calls) == 2
    assert not functions.failed


def test_a_waiting_retry_does_not_hold_up_the_others() -> None:
    done = threading.Event()

    def fail(event: Event) -> None:
        raise RuntimeError("no")

    functions = Functions(workers=1, retry_delays=(60.0,))
    functions.add({"fail": fail, "work": lambda event: done.set()})
    functions.invoke("fail", {})
    functions.invoke("work", {})

    assert done.wait(10)
    with pytest.raises(TimeoutError, match="1 invocations"):
        functions.drain(timeout=0.01)
    functions.stop()


def test_an_event_for_no_function_is_dropped() -> None:
    functions = Functions()
    functions.invoke("nobody", {})
    functions.drain()
    functions.stop()

    assert not functions.failed
