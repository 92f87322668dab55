"""Errors that Chalice answers in its own format become problems, without any of its texts."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from chalice.app import (
    AuthRequest,
    AuthResponse,
    Chalice,
    ChaliceViewError,
    ForbiddenError,
    NotFoundError,
    Response,
    TooManyRequestsError,
)
from chalice.config import Config

from chalicelib.http import finish_response
from facial_recognition.local.api import LocalApi
from tests.contract.answers import assert_headers, problem

SECRET = "arn:aws:secret"


def guarded_app() -> Chalice:
    """Return an application with an authorizer and with views that fail."""
    app = Chalice(app_name="guarded")
    errors = {"missing": NotFoundError, "forbidden": ForbiddenError, "busy": TooManyRequestsError}

    @app.middleware("http")
    def finish(request: Any, view: Any) -> Response:
        return finish_response(view(request), "id", {"Access-Control-Allow-Origin": "*"})

    @app.authorizer()
    def guard(request: AuthRequest) -> AuthResponse | None:
        if request.token == "broken":
            raise RuntimeError(SECRET)
        if request.token == "nothing":
            return None
        return AuthResponse(["*"] if request.token == "good" else [], "somebody")

    @app.route("/guarded/{what}", authorizer=guard)
    def guarded(what: str) -> Response:
        raise errors.get(what, RuntimeError)(SECRET)

    return app


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of the guarded application."""
    project: Any = SimpleNamespace(app=guarded_app(), config=Config())
    with LocalApi(project) as api:
        yield f"{api.url}/guarded"


@pytest.mark.parametrize(
    ("what", "token", "expected"),
    [
        ("x", None, (401, "unauthorized")),
        ("x", "bad", (403, "forbidden")),
        ("x", "broken", (500, "internal")),
        ("x", "nothing", (500, "internal")),
        ("x", "good", (500, "internal")),
        ("missing", "good", (404, "not_found")),
        ("forbidden", "good", (403, "forbidden")),
        ("busy", "good", (429, "throttled")),
    ],
)
def test_chalices_own_errors_are_problems(
    url: str, what: str, token: str | None, expected: tuple[int, str]
) -> None:
    headers = {"Authorization": token} if token else {}
    answer = requests.get(f"{url}/{what}", headers=headers, timeout=30)

    assert problem(answer) == expected
    assert SECRET not in answer.text
    assert ("Retry-After" in answer.headers) == (expected[0] == 429)


def test_every_status_of_chalice_has_a_problem() -> None:
    statuses = {error.STATUS_CODE for error in ChaliceViewError.__subclasses__()}
    for status in statuses | {405, 415}:
        answer = finish_response(Response({"Message": SECRET}, {}, status), "id", {})

        assert SECRET not in answer.body
        assert answer.status_code >= 400
        assert_headers(answer.headers)
