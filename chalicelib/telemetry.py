"""What becomes of requests and photographs: a line in the log for each, with metrics in it.

Nothing of a face, a name, a key or an image is ever written, and of a person at most a keyed hash.

Whoever handles a request or a photograph notes on the way what is found out, in :func:`current`;
how long each call to AWS took is noted by :func:`watch`. What was noted is written in one line at
the end. Where the stage says so, that line says in CloudWatch's embedded format which metrics are
in it. (Powertools' Metrics writes lines of its own; these take about as long as all that a small
verify does beside, which ``bench/overhead.py`` would not have.)
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
from chalice.app import Request
from msgspec import Struct

from chalicelib.errors import THROTTLING_CODES, as_problem
from chalicelib.images import Photograph
from chalicelib.settings import Settings

SERVICE = "facial-recognition"
NAMESPACE = "FacialRecognition"


def _as_json(line: dict[str, Any]) -> str:
    """Write a line; Python's own json takes several times as long."""
    return msgspec.json.encode(line, enc_hook=str).decode()


_logger = Logger(service=SERVICE, location=None, json_serializer=_as_json)

# --- what is noted --------------------------------------------------------------------------


class Work(Struct):
    """What is found out about one request or photograph while it is handled."""

    outcome: str = "ok"
    code: str | None = None
    """Of the problem for which a photograph was rejected, or could not be handled."""
    status: int | None = None
    """Of the answer over HTTP."""
    person_id: str | None = None
    """Written as a keyed hash only, and only where there is a key."""
    photograph_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    """Pixels; not known of a photograph in S3, which only Rekognition reads."""
    faces: int | None = None
    """In the photograph."""
    similarity: float | None = None
    """Of the best match, 0 to 100; it is written rounded, since all its digits tell of a face."""
    persons_forgotten: int | None = None
    persons_left: int | None = None
    """Who are still to be forgotten."""
    calls: list[tuple[str, float]] = []
    """Operations of AWS and the seconds that each call took, with all its tries."""
    throttled: list[str] = []
    """Operations of which AWS throttled a try."""

    def measure(self, photograph: Photograph) -> None:
        """Note how large a photograph is."""
        self.photograph_bytes = len(photograph.data)
        self.width, self.height = photograph.width, photograph.height


_current: ContextVar[Work | None] = ContextVar("current", default=None)

P = ParamSpec("P")
T = TypeVar("T")


def current() -> Work:
    """Return where to note what is found out; outside of :func:`record` nobody will read it."""
    return _current.get() or Work()


@contextmanager
def record() -> Iterator[Work]:
    """Gather what is noted in a block, by its own thread and by what it hands to others."""
    work = Work()
    token = _current.set(work)
    try:
        yield work
    finally:
        _current.reset(token)


def carried(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function note where this thread does, whichever thread calls it."""
    context = copy_context()

    def in_context(*args: P.args, **kwargs: P.kwargs) -> T:
        return context.copy().run(function, *args, **kwargs)

    return in_context


def watch(events: BaseEventHooks) -> None:
    """Note the calls of the boto3 clients that will be made with these event hooks."""
    events.register("before-call", _begin)
    events.register("after-call", _end)
    events.register("after-call-error", _end)
    events.register("needs-retry", _look_for_throttling)


_BEGUN = "facial-recognition"
"""Key in botocore's context of a call, which its handlers may keep things in."""


def _begin(model: Any, context: dict[str, Any], **_: Any) -> None:
    context[_BEGUN] = model.name, time.perf_counter()


def _end(context: dict[str, Any], **_: Any) -> None:
    if _BEGUN not in context:  # it was answered before it was asked
        return
    operation, begun = context.pop(_BEGUN)
    current().calls.append((operation, time.perf_counter() - begun))


def _look_for_throttling(operation: Any, response: Any = None, **_: Any) -> None:
    """Look at a try: AWS's answer, with its status, or None."""
    if response is not None and response[1].get("Error", {}).get("Code") in THROTTLING_CODES:
        current().throttled.append(operation.name)


# --- the log --------------------------------------------------------------------------------


def request_id(request: Request) -> str:
    """Return the id by which a request is found in the logs."""
    lambda_id = getattr(request.lambda_context, "aws_request_id", "")
    return str(request.context.get("requestId") or lambda_id)


@contextmanager
def request(route: str, request_id: str, settings: Settings) -> Iterator[Work]:
    """Log, after a block, that it has answered a request."""
    started = time.perf_counter()
    with record() as work:
        yield work
    seconds = time.perf_counter() - started
    if work.similarity is not None:
        work.similarity = round(work.similarity, 1)
    measured = {_COUNTED[route]: 1.0} if route in _COUNTED else {}
    if work.similarity is not None:
        measured[SIMILARITY] = work.similarity
    fields = _fields(work, seconds, measured, settings)
    _logger.info("request", route=route, request_id=request_id, **fields)


@contextmanager
def photograph(request_id: str, settings: Settings) -> Iterator[Work]:
    """Log, after a block, what became of the photograph that it has handled, or tried to."""
    started = time.perf_counter()
    with record() as work:
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
    """Log, after a block, how many persons it has forgotten."""
    started = time.perf_counter()
    with record() as work:
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
    """Log where an error came from, without its text: that may quote a name or a key."""
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
    """Write what was noted as fields of a log line, without those of which nothing is known."""
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
    """A metric of CloudWatch. All have the dimensions service and stage."""

    name: str
    unit: MetricUnit
    by_outcome: bool = False
    """Whether it has the dimension outcome, too."""


REGISTRATIONS = Metric("Registrations", MetricUnit.Count, by_outcome=True)
VERIFICATIONS = Metric("Verifications", MetricUnit.Count, by_outcome=True)
INDEXING_TIME = Metric("IndexingTime", MetricUnit.Milliseconds, by_outcome=True)
"""Of a photograph, from the moment when it is taken up; how many there were is its SampleCount."""
FACES_PER_PHOTOGRAPH = Metric("FacesPerPhotograph", MetricUnit.Count)
SIMILARITY = Metric("Similarity", MetricUnit.Percent)
"""Of the best match of a verify that said yes."""
THROTTLES = Metric("Throttles", MetricUnit.Count)
"""Calls that AWS has throttled, those that succeeded when tried again among them."""

METRICS = (
    REGISTRATIONS,
    VERIFICATIONS,
    INDEXING_TIME,
    FACES_PER_PHOTOGRAPH,
    SIMILARITY,
    THROTTLES,
)
"""All of them: what the dashboard and the alarms of ``infra/data.yaml`` may show."""

_COUNTED = {"register": REGISTRATIONS, "verify": VERIFICATIONS}
"""What is counted of a route."""


def _as_metrics(measured: dict[Metric, float], stage: str) -> dict[str, Any]:
    """Return what makes a log line one of metrics, too; the other dimensions are in it already.

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
