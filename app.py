"""A face recognition service: register photographs of people, verify later photographs of them."""

import os
from collections.abc import Callable
from functools import cache, wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from chalice.app import Chalice, CloudWatchEvent, CORSConfig, Rate, Request, Response, S3Event

from chalicelib import clients, telemetry, verification
from chalicelib.access import access, caller
from chalicelib.errors import as_problem
from chalicelib.faces import Faces
from chalicelib.http import (
    FORM,
    finish_response,
    json_response,
    problem_response,
    read_request,
    request_id,
)
from chalicelib.keys import PREFIX, is_folder
from chalicelib.messages import CreateIndexRequest, RegisterRequest, VerifyRequest
from chalicelib.records import Records
from chalicelib.settings import Settings
from chalicelib.storage import Photographs

if TYPE_CHECKING:
    from chalicelib.convergence import Converger

# A person may be waiting at a door for a verification. To keep cold starts short, modules that
# /verify does not need are imported by the routes and handlers that need them.

app = Chalice(app_name="facial-recognition")
app.api.binary_types.append(FORM)
settings = Settings.from_environment(os.environ)
photographs = Photographs(clients.s3, settings.faces_bucket)
records = Records(clients.dynamodb, settings.faces_table)
faces = Faces(clients.rekognition, settings.faces_collection, clients.rekognition_once)

# The service tells the type of a body from the body; Chalice would refuse types in its own format.
ANY = ["*/*"]
ACCESS = access(settings)
CORS = CORSConfig(
    allow_origin=settings.cors_origin,
    expose_headers=["Retry-After", "X-Request-Id"],
    max_age=600,
)
PAUSES = (0.5, 1.0, 2.0)
"""Seconds before an event from S3 is tried again for which AWS is too busy."""
CORS_HEADERS = CORS.get_access_control_headers()


@app.middleware("http")
def finish(request: Request, view: Callable[[Request], Response]) -> Response:
    """Complete every response, including those that Chalice writes itself."""
    return finish_response(view(request), request_id(request), CORS_HEADERS)


def answers(view: Callable[[Request], Response]) -> Callable[[], Response]:
    """Pass the request to a view, log the outcome, and answer errors as problem details."""

    @wraps(view)
    def wrapper() -> Response:
        request = app.current_request
        assert request is not None
        id_ = request_id(request)
        with telemetry.request(view.__name__, id_, settings) as work:
            try:
                response = view(request)
            except Exception as error:
                problem = as_problem(error)
                if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    telemetry.failure(error, id_)
                work.outcome, response = problem.code, problem_response(problem, id_)
            work.status = response.status_code
        return response

    return wrapper


@app.route("/register", methods=["POST"], content_types=ANY, cors=CORS, **ACCESS)
@answers
def register(request: Request) -> Response:
    """Register a photograph of a person."""
    from chalicelib import registration

    registered, is_new = registration.register(
        read_request(request, RegisterRequest),
        photographs,
        records,
        faces,
        settings,
        caller=caller(request.context),
    )
    return json_response(registered, 201 if is_new else 200)


@app.route("/create-index", methods=["POST"], content_types=ANY, cors=CORS, **ACCESS)
@answers
def create_index(request: Request) -> Response:
    """Bring the index in line with the photographs in S3."""
    from chalicelib import indexing

    selection = read_request(request, CreateIndexRequest)
    if settings.hide_unknown_persons:
        indexing.refuse_to_list(selection)
    report = indexing.create_index(selection, converger(), request_id(request), settings)
    return json_response(report)


@app.route("/verify", methods=["POST"], content_types=ANY, cors=CORS, **ACCESS)
@answers
def verify(request: Request) -> Response:
    """Recognise the person in a photograph."""
    query = read_request(request, VerifyRequest)
    return json_response(verification.verify(query, records, faces, settings))


@app.on_s3_event(bucket=settings.faces_bucket, events=["s3:ObjectCreated:*"], prefix=PREFIX)
def index_photograph(event: S3Event) -> None:
    """Index a photograph that was uploaded to the bucket."""
    converge(event)


@app.on_s3_event(bucket=settings.faces_bucket, events=["s3:ObjectRemoved:*"], prefix=PREFIX)
def unindex_photograph(event: S3Event) -> None:
    """Remove the face of a photograph that was deleted from the bucket."""
    converge(event)


if settings.forget_after_days:

    @app.schedule(Rate(1, unit=Rate.DAYS))
    def forget_unverified(event: CloudWatchEvent) -> None:
        """Forget the people who were not verified for ``FORGET_AFTER_DAYS`` days."""
        from chalicelib import forgetting

        context: Any = event.context
        with telemetry.forgetting(context.aws_request_id, settings):
            forgetting.forget_unverified(
                converger(), settings, lambda: context.get_remaining_time_in_millis() / 1000
            )


@cache
def converger() -> "Converger":
    """Return the converger of this stage."""
    from chalicelib.audit import AuditTrail
    from chalicelib.convergence import Converger

    trail = AuditTrail(clients.dynamodb, settings.faces_audit_table)
    return Converger(photographs, records, faces, trail, settings)


def converge(event: S3Event) -> None:
    """Handle an event from S3; after an exception, Lambda retries it."""
    if is_folder(event.key):
        return
    from chalicelib.pacing import retry

    context: Any = event.context
    # Lambda retries an event under the same request id.
    try:
        with telemetry.photograph(context.aws_request_id, settings):
            retry(lambda: converger().converge(event.key, context.aws_request_id), PAUSES)
    except Exception as error:
        # Lambda logs the text of an exception. AWS's texts often name the key, and so the person.
        raise RuntimeError(f"{type(error).__name__}: see the log") from None
