"""A face recognition service: register photographs of people, verify later ones against them."""

import os
from collections.abc import Callable
from functools import cache, wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from chalice.app import Chalice, CloudWatchEvent, CORSConfig, Rate, Request, Response, S3Event

from chalicelib import clients, messages, telemetry, verification
from chalicelib.access import access, caller
from chalicelib.errors import as_problem
from chalicelib.faces import Faces
from chalicelib.messages import (
    CreateIndexRequest,
    RegisterRequest,
    VerifyRequest,
    read,
    reply,
)
from chalicelib.settings import Settings
from chalicelib.storage import PREFIX, Photographs, Records

if TYPE_CHECKING:
    from chalicelib.convergence import Converger

# Somebody may stand before a door and wait for a verification: what that does not need is imported
# by the routes and handlers that do, so that a cold start is shorter.

app = Chalice(app_name="facial-recognition")
app.api.binary_types.append(messages.FORM)
settings = Settings.from_environment(os.environ)
photographs = Photographs(clients.s3, settings.faces_bucket)
records = Records(clients.dynamodb, settings.faces_table)
faces = Faces(clients.rekognition, settings.faces_collection)

ANY = ["*/*"]  # what a body is, is told from the body; Chalice would refuse it in its own words
ACCESS = access(settings)
CORS = CORSConfig(
    allow_origin=settings.cors_origin,
    expose_headers=["Retry-After", "X-Request-Id"],
    max_age=600,
)
CORS_HEADERS = CORS.get_access_control_headers()


@app.middleware("http")
def complete(request: Request, view: Callable[[Request], Response]) -> Response:
    """Give every answer what all have in common, those of Chalice itself included."""
    return messages.complete(view(request), telemetry.request_id(request), CORS_HEADERS)


def answers(view: Callable[[Request], Response]) -> Callable[[], Response]:
    """Hand the request to a view, log its outcome, and answer errors as problem details."""

    @wraps(view)
    def wrapper() -> Response:
        request = app.current_request
        assert request is not None
        request_id = telemetry.request_id(request)
        with telemetry.request(view.__name__, request_id, settings) as work:
            try:
                response = view(request)
            except Exception as error:
                problem = as_problem(error)
                if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    telemetry.failure(error, request_id)
                work.outcome, response = problem.code, problem.to_response(request_id)
            work.status = response.status_code
        return response

    return wrapper


@app.route("/register", methods=["POST"], content_types=ANY, cors=CORS, **ACCESS)
@answers
def register(request: Request) -> Response:
    """Register a photograph of a person."""
    from chalicelib import registration

    registered, new = registration.register(
        read(request, RegisterRequest),
        photographs,
        records,
        faces,
        settings,
        caller=caller(request.context),
    )
    return reply(registered, 201 if new else 200)


@app.route("/create-index", methods=["POST"], content_types=ANY, cors=CORS, **ACCESS)
@answers
def create_index(request: Request) -> Response:
    """Bring the index in line with the photographs in S3."""
    from chalicelib import indexing

    asked = read(request, CreateIndexRequest)
    if settings.hide_unknown_persons:
        indexing.refuse_to_list(asked)
    attempt = telemetry.request_id(request)
    return reply(indexing.create_index(asked, converger(), attempt, settings))


@app.route("/verify", methods=["POST"], content_types=ANY, cors=CORS, **ACCESS)
@answers
def verify(request: Request) -> Response:
    """Say whose face a photograph shows."""
    return reply(verification.verify(read(request, VerifyRequest), records, faces, settings))


@app.on_s3_event(bucket=settings.faces_bucket, events=["s3:ObjectCreated:*"], prefix=PREFIX)
def index_photograph(event: S3Event) -> None:
    """Index a photograph that was put into the bucket."""
    converge(event)


@app.on_s3_event(bucket=settings.faces_bucket, events=["s3:ObjectRemoved:*"], prefix=PREFIX)
def unindex_photograph(event: S3Event) -> None:
    """Forget the face of a photograph that was removed from the bucket."""
    converge(event)


if settings.forget_after_days:

    @app.schedule(Rate(1, unit=Rate.DAYS))
    def forget_unverified(event: CloudWatchEvent) -> None:
        """Forget the persons as whom no photograph was verified for as long as the stage says."""
        from chalicelib import forgetting

        context: Any = event.context
        with telemetry.forgetting(context.aws_request_id, settings):
            forgetting.forget_unverified(
                converger(), settings, lambda: context.get_remaining_time_in_millis() / 1000
            )


@cache
def converger() -> "Converger":
    """Return what makes records and collection say what S3 says."""
    from chalicelib.audit import AuditTrail
    from chalicelib.convergence import Converger

    trail = AuditTrail(clients.dynamodb, settings.faces_audit_table)
    return Converger(photographs, records, faces, trail, settings)


def converge(event: S3Event) -> None:
    """Handle an event from S3; an exception makes Lambda bring it again."""
    if event.key.endswith("/"):  # a folder that the S3 console made
        return
    context: Any = event.context
    # Lambda brings an event again under the same request id.
    try:
        with telemetry.photograph(context.aws_request_id, settings):
            converger().converge(event.key, context.aws_request_id)
    except Exception as error:
        # Lambda logs an exception's words, and AWS's often name the key, and so the person.
        raise RuntimeError(f"{type(error).__name__}: see the log") from None
