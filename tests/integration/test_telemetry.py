"""The log lines and the metrics of real requests and photographs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

import app
from chalicelib.images import from_bytes
from chalicelib.telemetry import METRICS
from localaws.middleware.faults import Fault
from sample_photographs import landscape, photograph, resized
from tests.support.service import BUCKET, Service
from tests.support.telemetry import Reading, logged, metrics_in

OBAMA, OBAMA_2, BIDEN = (
    resized(photograph(name), 400) for name in ("obama.jpg", "obama2.jpg", "biden.jpg")
)
NAME, PERSON = "Zaphod Beeblebrox", "zaphod-0815"
FIELDS_OF_EVERY_LINE = {
    *("timestamp", "level", "service", "message", "request_id", "milliseconds", "stage", "_aws")
}


class Log:
    """The lines that routes have written, and the metrics in them."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.whole = lines

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines without metrics and common fields, and with the numbers of calls."""
        names = FIELDS_OF_EVERY_LINE | {metric.name for metric in METRICS}
        found = [{k: v for k, v in line.items() if k not in names} for line in self.whole]
        for line in found:
            line["aws"] = {name: call["calls"] for name, call in line.get("aws", {}).items()}
        return found

    def metrics(self) -> list[Reading]:
        """Return the metrics in the lines."""
        return metrics_in(self.whole)


@pytest.fixture
def log(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """The log of a stage with metrics and hashes of persons."""
    service.register(OBAMA, name=NAME, personId=PERSON)
    service.settle()
    monkeypatch.setattr(app, "settings", replace(app.settings, metrics="test", log_salt="salt"))
    with logged() as lines:
        yield Log(lines)


def test_a_verify_logs_its_outcome_its_similarity_and_its_calls_to_aws(
    service: Service, log: Log
) -> None:
    answer = service.verify(OBAMA_2).json()

    [line], measured = log.lines(), from_bytes(OBAMA_2)
    assert len(line.pop("person")) == 64
    assert line == {
        "route": "verify",
        "status": 200,
        "outcome": "verified",
        "photograph_bytes": len(OBAMA_2),
        "width": measured.width,
        "height": measured.height,
        "similarity": round(answer["similarity"], 1),
        "aws": {"SearchFacesByImage": 1, "BatchGetItem": 1},
    }
    dimensions = {"service": "facial-recognition", "stage": "test"}
    assert log.metrics() == [
        ("Verifications", "Count", {**dimensions, "outcome": "verified"}, 1),
        ("Similarity", "Percent", dimensions, round(answer["similarity"], 1)),
    ]


def test_verifications_are_counted_by_outcome(service: Service, log: Log) -> None:
    service.verify(BIDEN)
    service.verify(OBAMA_2, personId="nobody")
    service.verify(landscape())
    service.verify(None)

    wanted = ["not_verified", "person_unknown", "no_face", "image_missing"]
    assert [line["outcome"] for line in log.lines()] == wanted
    counted = log.metrics()
    assert {metric.name for metric in counted} == {"Verifications"}
    assert [metric.dimensions["outcome"] for metric in counted] == wanted


def test_a_register_logs_the_number_of_faces(service: Service, log: Log) -> None:
    service.register(landscape(), name=NAME)
    service.register(OBAMA, name=NAME, personId=PERSON)

    refused, again = log.lines()
    assert (refused["outcome"], refused["faces"]) == ("no_face", 0)
    assert (again["outcome"], again["faces"], again["status"]) == ("ok", 1, 200)
    assert again["aws"]["DetectFaces"] == again["aws"]["SearchFacesByImage"] == 1
    assert [(m.name, m.dimensions["outcome"]) for m in log.metrics()] == [
        ("Registrations", "no_face"),
        ("Registrations", "ok"),
    ]


def test_create_index_logs_each_photograph(service: Service, log: Log) -> None:
    silence = {"Bucket": BUCKET, "NotificationConfiguration": {}}
    service.s3.put_bucket_notification_configuration(
        **silence
    )  # so that only create-index handles them
    service.s3.put_object(Bucket=BUCKET, Key="faces/biden/1.jpg", Body=BIDEN)
    service.s3.put_object(Bucket=BUCKET, Key="faces/sky/1.jpg", Body=landscape(400, 300))
    service.post("create-index")

    *photographs, request = log.lines()
    indexed, rejected = sorted(photographs, key=lambda line: line["outcome"])
    assert (indexed["outcome"], indexed["faces"]) == ("indexed", 1)
    assert indexed["photograph_bytes"] == len(BIDEN)
    assert indexed["aws"]["IndexFaces"] == 1
    assert (rejected["outcome"], rejected["code"], rejected["faces"]) == ("rejected", "no_face", 0)
    assert request["aws"]["CreateCollection"] == 1
    assert request["aws"]["HeadObject"] == 3  # threads look for the photographs of the records
    assert "IndexFaces" not in request["aws"]
    metrics = log.metrics()
    times = [metric for metric in metrics if metric.name == "IndexingTime"]
    assert sorted(time.dimensions["outcome"] for time in times) == ["indexed", "rejected"]
    assert all(time.value > 0 for time in times)
    assert sorted(m.value for m in metrics if m.name == "FacesPerPhotograph") == [0, 1]


def test_throttled_calls_are_counted_even_if_they_succeed_in_the_end(
    service: Service, log: Log
) -> None:
    service.aws.faults.script(Fault("SearchFacesByImage", "throttle", times=2))

    assert service.verify(OBAMA_2).status_code == 200

    [line] = log.lines()
    assert line["throttled"] == {"SearchFacesByImage": 2}
    assert line["aws"]["SearchFacesByImage"] == 1
    assert ("Throttles", 2) in [(metric.name, metric.value) for metric in log.metrics()]


def test_failed_calls_are_logged(service: Service, log: Log) -> None:
    service.aws.faults.script(Fault("SearchFacesByImage", "error before", times=0))

    answer = service.verify(OBAMA_2)
    service.aws.faults.clear()

    *_, line = log.lines()
    assert line["outcome"] == answer.json()["code"] == "service_unavailable"
    assert line["aws"] == {"SearchFacesByImage": 1}


def test_lines_and_metrics_hold_nothing_of_a_person(service: Service, log: Log) -> None:
    service.verify(OBAMA_2, personId=PERSON)
    known = service.verify(OBAMA_2).json()
    service.register(OBAMA, name=NAME, personId=PERSON)
    service.register(OBAMA, name=NAME, personId="somebody-else")
    [match] = known["matches"]
    service.post("create-index", {"imageKey": match["imageKey"]})

    written = json.dumps(log.whole)
    assert len(log.metrics()) >= 5
    for secret in (NAME, "Zaphod", PERSON, "somebody-else", match["faceId"], match["imageKey"]):
        assert secret not in written
