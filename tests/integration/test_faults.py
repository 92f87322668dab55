"""The index converges to the state of S3, whichever call to AWS fails."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import app
from chalicelib.convergence import Unsettled
from localaws.middleware.faults import Fault
from sample_photographs import landscape, photograph, resized
from tests.support.processes import run_faces
from tests.support.service import Service

KEY = "faces/obama/1.jpg"
OBAMA = resized(photograph("obama.jpg"), 400)
BIDEN = resized(photograph("biden.jpg"), 400)
NOBODY = resized(landscape(), 400)

LOOK = ["HeadObject", "GetItem"]
"""The calls of one look of converge."""
SALT = ["GetItem"]
"""The call that an entry of the audit trail needs."""
FIRST_SALT = ["GetItem", "PutItem", "GetItem"]
"""The calls that the first entry of a stage needs."""

SCENARIOS: dict[str, tuple[bytes | None, bytes | None, list[str]]] = {
    # the photograph before, the photograph after, and the calls that handle the event
    "new": (
        None,
        OBAMA,
        [
            *LOOK,
            *FIRST_SALT,
            "UpdateItem",
            "IndexFaces",
            "TransactWriteItems",
            *LOOK,
        ],
    ),
    "replaced": (
        BIDEN,
        OBAMA,
        [
            *LOOK,
            *SALT,
            "UpdateItem",
            "IndexFaces",
            "DeleteFaces",
            "TransactWriteItems",
            *LOOK,
        ],
    ),
    "spoilt": (
        OBAMA,
        NOBODY,
        [
            *LOOK,
            *SALT,
            "UpdateItem",
            "IndexFaces",
            "DeleteFaces",
            "TransactWriteItems",
            *LOOK,
        ],
    ),
    "removed": (
        OBAMA,
        None,
        [*LOOK, *SALT, "UpdateItem", "DeleteFaces", "TransactWriteItems", *LOOK],
    ),
}
CALLS = [(name, n) for name, (_, _, calls) in SCENARIOS.items() for n in range(1, len(calls) + 1)]


def arrange(service: Service, name: str) -> Callable[[], None]:
    """Bring the service to the state before; return a function that makes the change."""
    before, after, _ = SCENARIOS[name]
    if before is not None:
        service.upload(KEY, before)
    service.aws.faults.clear()
    return lambda: service.remove(KEY) if after is None else service.upload(KEY, after)


def assert_converged(service: Service, name: str) -> None:
    """Check that records and collection agree with S3."""
    after = SCENARIOS[name][1]
    service.aws.faults.clear()
    service.assert_consistent()
    assert service.whose(OBAMA) == ("obama" if after is OBAMA else None)
    assert service.whose(BIDEN) is None
    assert len(service.faces()) == (after is OBAMA)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scenarios_list_all_calls(service: Service, name: str) -> None:
    change = arrange(service, name)
    change()

    calls = [call for caller, call in service.aws.faults.calls if caller.startswith("worker")]
    assert calls == SCENARIOS[name][2]
    assert_converged(service, name)


@pytest.mark.parametrize(("name", "call"), CALLS)
@pytest.mark.parametrize("kind", ["error before", "error after", "crash after"])
def test_one_call_fails(service: Service, name: str, call: int, kind: str) -> None:
    change = arrange(service, name)
    # botocore must not retry the error itself.
    fault = Fault("*", kind, call=call, caller="worker", code="Unexpected", status=400)
    service.aws.faults.script(fault)
    change()

    assert service.aws.faults.met[kind] == 1
    assert_no_listing(service)
    assert_converged(service, name)


def assert_no_listing(service: Service) -> None:
    """Check that no function has listed the collection, which takes longer with every person."""
    assert "ListFaces" not in {call for _, call in service.aws.faults.calls}


def test_a_call_that_hangs_is_retried(service: Service) -> None:
    service.aws.faults.script(Fault("IndexFaces", "hang", caller="worker"))
    service.upload(KEY, OBAMA)

    assert service.aws.faults.met["hang"] == 1
    assert_converged(service, "new")


def test_throttled_calls_are_retried(service: Service) -> None:
    service.aws.faults.script(
        Fault("IndexFaces", "throttle", caller="worker", rate=4),
        Fault("*", "throttle", caller="worker", every=10, times=0),
    )
    keys = [f"faces/obama/{n}.jpg" for n in range(8)]
    for key in keys:
        service.s3.put_object(Bucket=app.settings.faces_bucket, Key=key, Body=OBAMA)
    service.settle()

    assert service.aws.faults.met["throttle"] > 0
    assert_no_listing(service)
    service.aws.faults.clear()
    assert len(service.faces()) == len(keys)
    service.assert_consistent()


def test_an_event_that_fails_at_every_try_is_kept_and_can_be_redriven(service: Service) -> None:
    denied = Fault("IndexFaces", "error before", times=0, code="AccessDeniedException", status=400)
    service.aws.faults.script(denied)
    service.upload("faces/obama/a b.jpg", OBAMA)

    (record,) = service.failed_events()
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert service.photograph("faces/obama/a b.jpg")["status"] == "registered"

    listed = run_faces("redrive", "--list")
    assert listed.returncode == 0
    assert "faces/obama/a b.jpg" in listed.stdout
    service.aws.faults.clear()
    redriven = run_faces("redrive")
    assert redriven.returncode == 0
    assert "1 events given back to their functions" in redriven.stdout
    service.settle()

    assert service.whose(OBAMA) == "obama"
    service.assert_consistent()


def test_events_may_come_twice_late_and_in_any_order(service: Service) -> None:
    service.aws.functions.disorder.duplicates = 0.5
    service.aws.functions.disorder.most_delay = 0.2
    for image in (OBAMA, BIDEN, NOBODY, OBAMA):
        service.s3.put_object(Bucket=app.settings.faces_bucket, Key=KEY, Body=image)
    for n in range(4):
        key = f"faces/biden/{n}.jpg"
        service.s3.put_object(Bucket=app.settings.faces_bucket, Key=key, Body=BIDEN)
        if n % 2:
            service.s3.delete_object(Bucket=app.settings.faces_bucket, Key=key)
    service.settle()

    assert len(service.faces()) == 3
    assert service.whose(OBAMA) == "obama"
    assert service.whose(BIDEN) == "biden"
    service.assert_consistent()


def test_two_hundred_runs_at_once_end_with_one_face(service: Service) -> None:
    service.s3.put_bucket_notification_configuration(
        Bucket=app.settings.faces_bucket, NotificationConfiguration={}
    )
    service.upload(KEY, resized(photograph("obama.jpg"), 200))

    def converge(number: int) -> str:
        while True:
            try:
                return app.converger().converge(KEY, f"attempt-{number}").change
            except Unsettled:  # Lambda would retry
                continue

    with ThreadPoolExecutor(200) as threads:
        changes = set(threads.map(converge, range(200)))

    assert changes <= {"indexed", "unchanged"}
    assert len(service.faces()) == 1
    service.assert_consistent()
