"""The facts noted about work, and the log lines and metrics written from them."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from chalicelib import telemetry
from chalicelib.errors import ImageMissing
from chalicelib.images import Photograph
from chalicelib.settings import Settings
from chalicelib.telemetry import METRICS
from facial_recognition.infra import data
from localaws.services.cloudformation import Template
from tests.support.telemetry import logged, metrics_in

SETTINGS = Settings(metrics="test")


@pytest.fixture
def log() -> Iterator[list[dict[str, Any]]]:
    """The lines of the log."""
    with logged() as lines:
        yield lines


def test_a_request_is_one_line_with_the_noted_facts(log: list[dict[str, Any]]) -> None:
    with telemetry.request("verify", "an-id", Settings()) as work:
        noted = telemetry.current()
        noted.measure(Photograph(b"12345", "image/jpeg", 640, 480))
        noted.outcome, noted.similarity = "verified", 99.87654
        noted.calls += [("BatchGetItem", 0.25), ("BatchGetItem", 0.5), ("Query", 0.0625)]
        noted.throttled.append("Query")
        work.status = 200

    [line] = log
    assert line.pop("milliseconds") >= 0
    for usual in ("timestamp", "level"):
        line.pop(usual)
    assert line == {
        "message": "request",
        "service": "facial-recognition",
        "route": "verify",
        "request_id": "an-id",
        "status": 200,
        "outcome": "verified",
        "photograph_bytes": 5,
        "width": 640,
        "height": 480,
        "similarity": 99.9,
        "aws": {
            "BatchGetItem": {"calls": 2, "milliseconds": 750.0},
            "Query": {"calls": 1, "milliseconds": 62.5},
        },
        "throttled": {"Query": 1},
    }


def test_a_photograph_that_fails_is_logged_too(log: list[dict[str, Any]]) -> None:
    with pytest.raises(ImageMissing), telemetry.photograph("an-id", SETTINGS):
        raise ImageMissing("of ada")

    failure, line = log
    assert (failure["message"], failure["error"]) == ("failure", "ImageMissing")
    assert (line["message"], line["outcome"], line["code"]) == (
        "photograph",
        "failed",
        "image_missing",
    )
    [metric] = metrics_in(log)
    assert (metric.name, metric.dimensions["outcome"]) == ("IndexingTime", "failed")


def test_a_person_is_a_hash_that_only_the_stage_can_make(log: list[dict[str, Any]]) -> None:
    for settings in (Settings(), Settings(log_salt="one"), Settings(log_salt="another")):
        for person in ("ada", "ada", "grace"):
            with telemetry.request("verify", "an-id", settings) as work:
                work.person_id = person

    assert "ada" not in json.dumps(log)
    persons = [line.get("person") for line in log]
    assert persons[:3] == [None, None, None]
    for here, there in ((persons[3:6], persons[6:]), (persons[6:], persons[3:6])):
        assert here[0] == here[1] != here[2]
        assert here[0] not in there
        assert re.fullmatch("[0-9a-f]{64}", here[0] or "")


def test_facts_noted_outside_of_a_block_are_dropped() -> None:
    telemetry.current().calls.append(("Query", 1.0))

    with telemetry.collect() as work:
        assert work.calls == []


def test_threads_note_in_the_work_they_belong_to() -> None:
    def note(operation: str) -> None:
        telemetry.current().calls.append((operation, 0.0))

    with ThreadPoolExecutor(4) as threads:
        with telemetry.collect() as ours:
            list(threads.map(telemetry.carried(note), map(str, range(50))))
            list(threads.map(note, ["nobody's"] * 4))
        with telemetry.collect() as other:
            list(threads.map(telemetry.carried(note), ["other"]))

    assert sorted(ours.calls) == sorted((str(number), 0.0) for number in range(50))
    assert other.calls == [("other", 0.0)]


def test_calls_are_timed_whether_they_succeed_or_not() -> None:
    session = boto3.Session("id", "secret", region_name="us-east-1")
    telemetry.watch(session.events)
    client = session.client("dynamodb", endpoint_url="http://127.0.0.1:9", config=NO_TRIES)

    with telemetry.collect() as work, pytest.raises(Exception, match="Could not connect"):
        client.list_tables()

    [(operation, seconds)] = work.calls
    assert operation == "ListTables"
    assert 0 < seconds < 60


def test_a_stubbed_call_is_not_noted() -> None:
    session = boto3.Session("id", "secret", region_name="us-east-1")
    telemetry.watch(session.events)
    client = session.client("dynamodb")

    with telemetry.collect() as work, Stubber(client) as stub:
        stub.add_client_error("list_tables", "ThrottlingException")
        with pytest.raises(ClientError):
            client.list_tables()

    assert work.throttled == []


def test_a_stage_without_a_name_for_metrics_writes_none(log: list[dict[str, Any]]) -> None:
    for settings, names in ((Settings(), []), (SETTINGS, ["Verifications"])):
        with telemetry.request("verify", "an-id", settings):
            pass
        assert [metric.name for metric in metrics_in([log.pop()])] == names


def test_dashboard_and_alarms_show_all_metrics_and_no_others() -> None:
    """Compare names and dimensions. For wrong ones, CloudWatch shows empty graphs and no error."""
    given = {"Application": "facial-recognition-prod", "BucketName": "a-bucket"}
    resources = Template(data.TEMPLATE.read_text(), given, {}).resources
    shown: set[tuple[str, bool]] = set()
    alarmed = set()
    for resource in resources.values():
        of = resource.get("Properties", {})
        if of.get("Namespace") == telemetry.NAMESPACE:
            names = {dimension["Name"]: dimension["Value"] for dimension in of["Dimensions"]}
            assert names == {"service": telemetry.SERVICE, "stage": {"Ref": "MetricsStage"}}
            shown.add((of["MetricName"], False))
            alarmed.add(of["MetricName"])
    body = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for widget in json.loads(body)["widgets"]:
        before: list[Any] = []
        for row in widget["properties"]["metrics"]:
            if isinstance(row[0], dict):
                found = SEARCH.match(row[0]["expression"])
                assert found is not None, row
                shown.add((found["name"], True))
                continue
            if row[0] != "...":  # "..." repeats the row before, and "." one value of it
                before = [before[i] if value == "." else value for i, value in enumerate(row)]
            if before[0] == telemetry.NAMESPACE:
                dimensions = before[2:6]
                assert dimensions == ["service", telemetry.SERVICE, "stage", "${MetricsStage}"]
                shown.add((before[1], False))

    assert shown == {(metric.name, metric.by_outcome) for metric in METRICS}
    assert alarmed


NO_TRIES = Config(retries={"total_max_attempts": 1})
SEARCH = re.compile(
    rf"SEARCH\('{{{telemetry.NAMESPACE},service,stage,outcome}} MetricName=\"(?P<name>\w+)\""
    rf" service=\"{telemetry.SERVICE}\" stage=\"\${{MetricsStage}}\"', '\w+', 300\)$"
)
