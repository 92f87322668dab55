"""The deployed service does everything, with the rights that it has, and has none too many."""

import json
from itertools import pairwise

import pytest

from chalicelib.telemetry import METRICS, THROTTLES
from localaws.services.iam.grants import grants_of, not_needed
from localaws.services.iam.permissions import Need
from tests.deploy.deployment import FUNCTION, Deployment
from tests.deploy.policies import FILES, committed
from tests.support.telemetry import metrics_in

FUNCTIONS = sorted(FILES)


def asked_by(rehearsed: Deployment, function: str) -> set[Need]:
    """Return what a function has needed in the rehearsal."""
    return {
        Need(asked["action"], asked["resource"])
        for asked in rehearsed.asked()
        if asked["principal"].rpartition("/")[2] == function
    }


def test_everything_that_was_asked_for_was_allowed(rehearsed: Deployment) -> None:
    asked = rehearsed.asked()

    assert {one["principal"].rpartition("/")[2] for one in asked} == set(FUNCTIONS)
    assert [one for one in asked if not one["allowed"]] == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_grant_could_be_left_out(rehearsed: Deployment, function: str) -> None:
    assert not_needed(rehearsed.granted(function), asked_by(rehearsed, function)) == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_was_deployed_is_what_the_files_say(rehearsed: Deployment, function: str) -> None:
    role = rehearsed.functions.get_function(FunctionName=function)["Configuration"]["Role"]
    iam = rehearsed.client("iam")
    name = role.rpartition("/")[2]
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]

    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert attached == []
    found = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    assert found == rehearsed.granted(function)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_grant_is_wider_than_aws_needs_it(function: str) -> None:
    grants = [grant for grant, _ in grants_of(committed(function))]

    assert all("*" not in grant.action for grant in grants)
    # Rekognition knows no resource for an image that is sent along.
    assert {g.action for g in grants if g.resource == "*"} <= {"rekognition:DetectFaces"}
    for grant in grants:
        if grant.resource != "*":
            *_, region, account, name = grant.resource.split(":", 5)
            expected = "" if grant.action.startswith("s3:") else "*"
            assert (region, account) == (expected, expected)
            assert name.rstrip("*").rstrip("/:")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_grants_are_in_order_and_each_is_there_once(function: str) -> None:
    document = committed(function)
    grants = [grant for grant, _ in grants_of(document)]

    assert len(grants) == len(set(grants))
    for statement in document["Statement"]:
        actions = statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        assert all(before < after for before, after in pairwise(actions))


def test_the_functions_have_logged_with_their_own_rights(rehearsed: Deployment) -> None:
    logs = rehearsed.client("logs")
    for function in FUNCTIONS:
        group = f"/aws/lambda/{function}"
        events = logs.filter_log_events(logGroupName=group)["events"]
        lines = [event["message"] for event in events]

        assert any(line.startswith("START RequestId: ") for line in lines)
        report = next(line for line in lines if line.startswith("REPORT RequestId: "))
        assert "Memory Size: 512 MB" in report
        written = [json.loads(line) for line in lines if line.startswith("{")]
        message = {FUNCTION: "request", f"{FUNCTION}-forget_unverified": "forgetting"}
        assert message.get(function, "photograph") in {entry["message"] for entry in written}


def test_the_functions_have_written_metrics_and_nothing_of_a_person(
    rehearsed: Deployment,
) -> None:
    logs = rehearsed.client("logs")
    lines = []
    for function in FUNCTIONS:
        pages = logs.get_paginator("filter_log_events")
        for page in pages.paginate(logGroupName=f"/aws/lambda/{function}"):
            lines += [event["message"] for event in page["events"]]
    metrics = metrics_in(json.loads(line) for line in lines if line.startswith("{"))

    assert {metric.name for metric in metrics} == {m.name for m in METRICS} - {THROTTLES.name}
    assert {metric.dimensions["stage"] for metric in metrics} == {"prod"}
    verified = [
        metric.dimensions["outcome"] for metric in metrics if metric.name == "Verifications"
    ]
    assert {"verified", "not_verified", "person_unknown"} <= set(verified)
    indexed = {metric.dimensions["outcome"] for metric in metrics if metric.name == "IndexingTime"}
    assert {"indexed", "rejected", "removed"} <= indexed
    for line in lines:
        for secret in ("Obama", "obama", "biden", "faces/", "somebody", *rehearsed.faces()):
            assert secret not in line
