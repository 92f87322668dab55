"""The lines of the log, and the metrics in them as CloudWatch reads them.

Source: "Specification: Embedded metric format" in the Amazon CloudWatch User Guide.
"""

import json
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from chalicelib import telemetry

UNITS = {"Count", "Milliseconds", "Percent"}


@contextmanager
def logged() -> Iterator[list[dict[str, Any]]]:
    """Collect the lines that the application logs in this process, parsed from their JSON."""
    lines: list[dict[str, Any]] = []
    logger = logging.getLogger(telemetry.SERVICE)
    formatter = logger.handlers[0].formatter
    assert formatter is not None

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(formatter.format(record)))

    handler = Collect()
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


class Reading(NamedTuple):
    """One value of a metric."""

    name: str
    unit: str
    dimensions: dict[str, str]
    value: float


def metrics_in(lines: Iterable[dict[str, Any]]) -> list[Reading]:
    """Return the metrics in the lines of a log.

    Raises:
        AssertionError: CloudWatch would not accept the metrics of a line.
    """
    return [reading for line in lines if "_aws" in line for reading in _read(line)]


def _read(line: dict[str, Any]) -> list[Reading]:
    about = line["_aws"]
    assert set(about) == {"Timestamp", "CloudWatchMetrics"}
    assert isinstance(about["Timestamp"], int)
    assert abs(about["Timestamp"] / 1000 - time.time()) < 3600
    readings = []
    for directive in about["CloudWatchMetrics"]:
        assert directive["Namespace"] == "FacialRecognition"
        assert 0 < len(directive["Metrics"]) <= 100
        [names] = directive["Dimensions"]
        dimensions = {name: line[name] for name in names}
        assert all(isinstance(value, str) and 0 < len(value) < 256 for value in dimensions.values())
        for metric in directive["Metrics"]:
            assert metric["Unit"] in UNITS
            value = line[metric["Name"]]
            assert isinstance(value, int | float)
            readings.append(Reading(metric["Name"], metric["Unit"], dimensions, value))
    return readings
