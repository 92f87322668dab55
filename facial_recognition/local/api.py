"""The project's API on a port of this machine: ``chalice local``, behind a gateway.

Chalice's own development server accepts requests of any size, waits for them forever, and answers
malformed ones with HTML or not at all. The gateway does for it what Amazon API Gateway does for
Lambda: it reads requests within limits, and refuses those that must not reach the application.
"""

import os
import threading
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chalice.deploy.validate import validate_routes
from chalice.local import LocalChalice, LocalGateway, LocalGatewayException, RouteMatcher
from werkzeug.datastructures import EnvironHeaders
from werkzeug.wrappers import Response

from chalicelib import images, telemetry
from chalicelib.errors import (
    ImageTooLarge,
    MalformedRequest,
    NotFound,
    Problem,
    RequestTimeout,
    Throttled,
    as_problem,
)
from chalicelib.http import finish_response, problem_of_status, problem_response
from chalicelib.settings import Settings
from facial_recognition.local.project import Project
from localaws.bodies import BodyRefused, Reason, read_whole
from localaws.ports import QuietRequestHandler, Server, listen

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MAX_BODY_BYTES = 10 * 1024 * 1024
"""API Gateway's limit."""
PATIENCE = 29.0
"""Seconds that a body may take to arrive, besides the time for its bytes, and a request to wait for
its turn."""
AT_ONCE = 16
"""Requests that the application handles at once; on AWS each has its own function instance."""


class LocalApi(Server):
    """``chalice local`` for a loaded project.

    Args:
        project: the application.
        port: of 127.0.0.1; 0 picks a free one.
        patience: seconds that a body may take to arrive, besides the time for its bytes, and a
            request to wait for its turn.

    Raises:
        localaws.ports.PortUnusable: the server cannot listen on the port.
    """

    def __init__(self, project: Project, port: int = 0, *, patience: float = PATIENCE) -> None:
        validate_routes(project.app.routes)
        gateway = Gateway(project, patience)
        super().__init__(listen(port), gateway, "chalice-local", _RequestHandler, patience=patience)


class Gateway:
    """WSGI application that passes requests to Chalice as API Gateway and Lambda do.

    Args:
        project: the application.
        patience: seconds that a request may wait for its turn.
    """

    def __init__(self, project: Project, patience: float) -> None:
        project.app.__class__ = LocalChalice  # it keeps a current request for each thread
        self._gateway = LocalGateway(project.app, project.config)
        self._routes = RouteMatcher(list(project.app.routes))
        origin = Settings.from_environment(os.environ).cors_origin
        self._cors = {"Access-Control-Allow-Origin": origin}
        self._patience = patience
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request, malformed or not."""
        try:
            body = _read_body(environ)
            response = self._invoke(environ, body)
        except Exception as error:
            response = self._refusal(error)
        return response(environ, start_response)

    def _invoke(self, environ: "WSGIEnvironment", body: bytes) -> Response:
        path = environ["RAW_URI"]
        try:
            self._routes.match_route(path)
        except ValueError:
            raise NotFound("There is no such route.") from None
        if not self._places.acquire(timeout=self._patience):
            raise Throttled("The service is busy. Try again in a moment.")
        try:
            headers = dict(EnvironHeaders(environ))
            answer = self._gateway.handle_request(
                environ["REQUEST_METHOD"], path, headers, body or None
            )
        except LocalGatewayException as refused:
            raise problem_of_status(refused.CODE) from None
        finally:
            self._places.release()
        return Response(
            answer["body"],
            answer["statusCode"],
            {**answer["headers"], **answer["multiValueHeaders"]},
        )

    def _refusal(self, error: Exception) -> Response:
        """Answer a request that the application did not get, or did not answer."""
        request_id, problem = str(uuid.uuid4()), as_problem(error)
        if not isinstance(error, Problem):
            telemetry.failure(error, request_id)
        with telemetry.request("gateway", request_id, Settings()) as work:
            work.status, work.outcome = int(problem.status), problem.code
        answer = finish_response(problem_response(problem, request_id), request_id, self._cors)
        return Response(answer.body, answer.status_code, answer.headers)


def _read_body(environ: "WSGIEnvironment") -> bytes:
    """Return the body of a request.

    Raises:
        MalformedRequest: the length of the body is missing, ambiguous, or not reached.
        ImageTooLarge: the body has more than :data:`MAX_BODY_BYTES`.
        RequestTimeout: the body came too slowly.
        Throttled: too many bodies are coming at once.
    """
    try:
        return read_whole(environ, MAX_BODY_BYTES)
    except BodyRefused as refused:
        match refused.reason:
            case Reason.TOO_LARGE:
                raise ImageTooLarge(
                    f"The request has more than {MAX_BODY_BYTES // 1024**2} MiB."
                    f" {images.WHERE_TO_WITH_LARGE_ONES}"
                ) from None
            case Reason.TOO_SLOW:
                raise RequestTimeout("The body came too slowly.") from None
            case Reason.NO_ROOM:
                raise Throttled("The service is busy. Try again in a moment.") from None
        raise MalformedRequest(str(refused)) from None


class _RequestHandler(QuietRequestHandler):
    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is not valid HTTP."""
        problem = MalformedRequest("The request line or a header is malformed or too long.")
        request_id = str(uuid.uuid4())
        answer = finish_response(problem_response(problem, request_id), request_id, {})
        self.close_connection = True
        self.request_version = self.protocol_version  # the request may have named no version
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body.encode())
