"""Logs and metrics: one line for each request and photograph, with the metrics in it.

The log never holds a name, a key, an image or anything of a face. Of a person it holds at most a
keyed hash.

The code that handles a request or a photograph notes facts in :func:`current` as it finds them, and
:func:`watch` times each call to AWS. At the end, everything goes into one line. If the stage has a
name for metrics, the line follows CloudWatch's embedded metric format. (Powertools' Metrics writes
lines of its own. Those take about as long as everything else that a small verify does besides
calling AWS; ``bench/overhead.py`` would show it.)
"""

import hashlib
import hmac
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, NamedTuple, ParamSpec, TypeVar

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import ClientError
from botocore.hooks import BaseEventHooks
from msgspec import Struct

from chalicelib.errors import THROTTLING_CODES, as_problem
from chalicelib.images import Photograph
from chalicelib.settings import Settings

SERVICE = "facial-recognition"
NAMESPACE = "FacialRecognition"


def _as_json(line: dict[str, Any]) -> str:
    """Return a line of the log; Python's json module takes several times as long."""
    return msgspec.json.encode(line, enc_hook=str).decode()


_logger = Logger(service=SERVICE, location=None, json_serializer=_as_json)

# --- facts about the work -------------------------------------------------------------------


class Work(Struct):
    """The facts about one request or photograph."""

    outcome: str = "ok"
    code: str | None = None
    """Code of the problem for which a photograph was rejected or could not be handled."""
    status: int | None = None
    """HTTP status of the response."""
    person_id: str | None = None
    """Logged as a keyed hash only, and only if the stage has a key."""
    photograph_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    """Pixels; unknown for a photograph in S3, because only Rekognition reads it."""
    faces: int | None = None
    """Number of faces in the photograph."""
    similarity: float | None = None
    """Similarity of the best match, 0 to 100. Logged rounded: all digits could identify a face."""
    persons_forgotten: int | None = None
    persons_left: int | None = None
    """Number of people still to be forgotten."""
    calls: list[tuple[str, float]] = []
    """Operation and duration in seconds of each call to AWS, retries included."""
    throttled: list[str] = []
    """Operation of each try that AWS throttled."""

    def measure(self, photograph: Photograph) -> None:
        """Note the size of a photograph."""
        self.photograph_bytes = len(photograph.data)
        self.width, self.height = photograph.width, photograph.height


_current: ContextVar[Work | None] = ContextVar("current", default=None)

P = ParamSpec("P")
T = TypeVar("T")


def current() -> Work:
    """Return the work of this thread; outside of :func:`collect`, an object that nobody reads."""
    return _current.get() or Work()


@contextmanager
def collect() -> Iterator[Work]:
    """Collect the facts noted in a block, by its thread and by functions that are ``carried``."""
    work = Work()
    token = _current.set(work)
    try:
        yield work
    finally:
        _current.reset(token)


def carried(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that notes facts in the work of this thread, whichever thread calls it."""
    context = copy_context()

    def in_context(*args: P.args, **kwargs: P.kwargs) -> T:
        return context.copy().run(function, *args, **kwargs)

    return in_context


def watch(events: BaseEventHooks) -> None:
    """Note the calls to AWS of all clients that are made with these event hooks from now on."""
    events.register("before-call", _start_call)
    events.register("after-call", _end_call)
    events.register("after-call-error", _end_call)
    events.register("needs-retry", _note_throttling)


_STARTED = "facial-recognition"
"""Our key in the context that botocore keeps for each call."""


def _start_call(model: Any, context: dict[str, Any], **_: Any) -> None:
    context[_STARTED] = model.name, time.perf_counter()


def _end_call(context: dict[str, Any], **_: Any) -> None:
    if _STARTED not in context:  # a handler answered before the request was sent
        return
    operation, started = context.pop(_STARTED)
    current().calls.append((operation, time.perf_counter() - started))


def _note_throttling(operation: Any, response: Any = None, **_: Any) -> None:
    """Note a throttled try; ``response`` is the HTTP response and its parsed body, or None."""
    if response is not None and response[1].get("Error", {}).get("Code") in THROTTLING_CODES:
        current().throttled.append(operation.name)


# --- the log --------------------------------------------------------------------------------


@contextmanager
def request(route: str, request_id: str, settings: Settings) -> Iterator[Work]:
    """Log the request that a block handles, once the block has ended."""
    started = time.perf_counter()
    with collect() as work:
        yield work
    seconds = time.perf_counter() - started
    if work.similarity is not None:
        work.similarity = round(work.similarity, 1)
    measured = {_COUNTERS[route]: 1.0} if route in _COUNTERS else {}
    if work.similarity is not None:
        measured[SIMILARITY] = work.similarity
    fields = _fields(work, seconds, measured, settings)
    _logger.info("request", route=route, request_id=request_id, **fields)


@contextmanager
def photograph(request_id: str, settings: Settings) -> Iterator[Work]:
    """Log the photograph that a block handles, once the block has ended or failed."""
    started = time.perf_counter()
    with collect() as work:
        try:
            yield work
        except Exception as error:
            failure(error, request_id)
            work.outcome, work.code = "failed", as_problem(error).code
            raise
        finally:
            seconds = time.perf_counter() - started
            measured = {INDEXING_TIME: _milliseconds(seconds)}
            if work.faces is not None:
                measured[FACES_PER_PHOTOGRAPH] = work.faces
            fields = _fields(work, seconds, measured, settings)
            _logger.info("photograph", request_id=request_id, **fields)


@contextmanager
def forgetting(request_id: str, settings: Settings) -> Iterator[Work]:
    """Log how many people a block has forgotten, once it has ended or failed."""
    started = time.perf_counter()
    with collect() as work:
        try:
            yield work
        except Exception as error:
            failure(error, request_id)
            work.outcome, work.code = "failed", as_problem(error).code
            raise
        finally:
            fields = _fields(work, time.perf_counter() - started, {}, settings)
            _logger.info("forgetting", request_id=request_id, **fields)


def failure(error: Exception, request_id: str = "") -> None:
    """Log the type and the stack of an error, without its text, which may quote a name or a key."""
    details: dict[str, Any] = {}
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code")
        details = {"operation": error.operation_name, "aws_code": code}
    _logger.error(
        "failure",
        request_id=request_id,
        error=type(error).__name__,
        stack=[
            f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)
        ],
        **details,
    )


def _fields(
    work: Work, seconds: float, measured: "dict[Metric, float]", settings: Settings
) -> dict[str, Any]:
    """Return the known facts as fields of a log line, with the metrics."""
    spent: defaultdict[str, list[float]] = defaultdict(list)
    for operation, duration in work.calls:
        spent[operation].append(duration)
    fields = {
        "status": work.status,
        "outcome": work.outcome,
        "code": work.code or None,
        "milliseconds": _milliseconds(seconds),
        "person": _hash(work.person_id, settings.log_salt),
        "photograph_bytes": work.photograph_bytes,
        "width": work.width,
        "height": work.height,
        "faces": work.faces,
        "similarity": work.similarity,
        "persons_forgotten": work.persons_forgotten,
        "persons_left": work.persons_left,
        "aws": {
            operation: {"calls": len(took), "milliseconds": _milliseconds(sum(took))}
            for operation, took in spent.items()
        },
        "throttled": Counter(work.throttled),
    }
    known = {name: value for name, value in fields.items() if value not in (None, {})}
    if work.throttled:
        measured[THROTTLES] = len(work.throttled)
    return known | _as_metrics(measured, settings.metrics)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _hash(person_id: str | None, salt: str) -> str | None:
    if person_id is None or not salt:
        return None
    return hmac.new(salt.encode(), person_id.encode(), hashlib.sha256).hexdigest()


# --- metrics --------------------------------------------------------------------------------


class Metric(NamedTuple):
    """A metric in CloudWatch. Every metric has the dimensions service and stage."""

    name: str
    unit: MetricUnit
    by_outcome: bool = False
    """Whether the metric also has the dimension outcome."""


REGISTRATIONS = Metric("Registrations", MetricUnit.Count, by_outcome=True)
VERIFICATIONS = Metric("Verifications", MetricUnit.Count, by_outcome=True)
INDEXING_TIME = Metric("IndexingTime", MetricUnit.Milliseconds, by_outcome=True)
"""Time to handle a photograph. Its SampleCount is the number of photographs."""
FACES_PER_PHOTOGRAPH = Metric("FacesPerPhotograph", MetricUnit.Count)
SIMILARITY = Metric("Similarity", MetricUnit.Percent)
"""Similarity of the best match of a verification that succeeded."""
THROTTLES = Metric("Throttles", MetricUnit.Count)
"""Calls that AWS throttled, including those that succeeded at a later try."""

METRICS = (
    REGISTRATIONS,
    VERIFICATIONS,
    INDEXING_TIME,
    FACES_PER_PHOTOGRAPH,
    SIMILARITY,
    THROTTLES,
)
"""All metrics. The dashboard and the alarms of the deployment may show no others."""

_COUNTERS = {"register": REGISTRATIONS, "verify": VERIFICATIONS}
"""The counter of each route."""


def _as_metrics(measured: dict[Metric, float], stage: str) -> dict[str, Any]:
    """Return the fields that turn a log line into metrics.

    The line holds the dimensions service and outcome already.

    Source: "Specification: Embedded metric format" in the Amazon CloudWatch User Guide.
    """
    if not stage or not measured:
        return {}
    directives = [
        {
            "Namespace": NAMESPACE,
            "Dimensions": [["service", "stage", "outcome"] if by_outcome else ["service", "stage"]],
            "Metrics": [{"Name": name, "Unit": unit.value}],
        }
        for name, unit, by_outcome in measured
    ]
    about = {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": directives}
    values = {metric.name: value for metric, value in measured.items()}
    return {"_aws": about, "stage": stage, **values}
