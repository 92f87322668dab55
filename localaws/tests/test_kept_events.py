"""Events are stored until a function has handled them."""

import threading

import pytest

from localaws.database import Database
from localaws.services.lambda_.functions import Functions
from localaws.services.lambda_.persistence import SCHEMA, EventStore


@pytest.fixture
def events(tmp_path):
    database = Database(tmp_path / "events.db", SCHEMA, "test")
    yield EventStore(database)
    database.close()


def waiting(events):
    events._database.write(lambda db: None)  # removed events go with the next write
    return [(function, payload) for _, function, payload in events.waiting()]


@pytest.fixture
def run(events):
    """Make functions that store their events, with one handler."""
    made = []

    def make(handler, on_failure=None):
        functions = Functions(retry_delays=(0.01,), kept_events=events)
        functions.add({"index": handler}, on_failure)
        made.append(functions)
        return functions

    yield make
    for functions in made:
        functions.stop()


def test_an_event_is_kept_until_it_is_handled(events, run):
    begun, go_on = threading.Event(), threading.Event()

    def handle(event, request_id):
        begun.set()
        go_on.wait()

    functions = run(handle)
    functions.notify("index", {"n": 1})
    begun.wait()
    kept = waiting(events)
    go_on.set()
    functions.drain()

    assert kept == [("index", '{"n": 1}')]
    assert waiting(events) == []


def test_an_event_is_forgotten_when_its_failure_is_recorded(events, run):
    def fail(event, request_id):
        raise ValueError

    kept_when_recorded = []
    functions = run(fail, lambda record: kept_when_recorded.append(waiting(events)))
    functions.notify("index", {})
    functions.drain()

    assert kept_when_recorded == [[("index", "{}")]]
    assert waiting(events) == []


def test_what_a_process_left_is_brought_to_the_next_one(events, run):
    stored = []
    for name, function, payload in [
        ("first", "index", '{"n": 1}'),
        ("second", "index", '{"n": 2}'),
        ("third", "gone", "{}"),
    ]:
        events.add(name, function, payload, lambda: stored.append(waiting(events)[-1]))
    assert stored == waiting(events)
    handled = []

    functions = run(lambda event, request_id: handled.append((request_id, event["n"])))
    functions.redeliver()
    functions.drain()

    assert sorted(handled) == [("first", 1), ("second", 2)]
    assert waiting(events) == [("gone", "{}")]
