"""The API that Chalice describes to API Gateway, for each ``AUTH``."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.infra.project import ROOT

POOL = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_abc"
SCRIPT = """
import json
from chalice.deploy.swagger import SwaggerGenerator
from app import app
arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
print(json.dumps(SwaggerGenerator("us-east-1", {"api_handler_arn": arn}).generate_swagger(app)))
"""


def described(**environment: str) -> dict[str, Any]:
    """Return the Swagger document of the application with these environment variables."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def posts(api: dict[str, Any]) -> list[dict[str, Any]]:
    return [path["post"] for path in api["paths"].values()]


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({"AUTH": "api-key"}, {"type": "apiKey", "name": "x-api-key", "in": "header"}),
        ({"AUTH": ""}, {"type": "apiKey", "name": "x-api-key", "in": "header"}),
        ({"AUTH": "iam"}, {"x-amazon-apigateway-authtype": "awsSigv4"}),
        (
            {"AUTH": "cognito", "COGNITO_USER_POOL_ARN": POOL},
            {"x-amazon-apigateway-authtype": "cognito_user_pools"},
        ),
    ],
)
def test_every_route_asks_who_calls(environment: dict[str, str], kind: dict[str, str]) -> None:
    api = described(**environment)

    assert len(posts(api)) == 3
    for post in posts(api):
        [asked] = post["security"]
        definition = api["securityDefinitions"][next(iter(asked))]
        assert definition.items() >= kind.items()
    if "COGNITO_USER_POOL_ARN" in environment:
        assert POOL in json.dumps(api["securityDefinitions"])


def test_no_route_asks_who_calls_where_anybody_may() -> None:
    assert not any(post.get("security") for post in posts(described(AUTH="none")))


def test_preflights_name_the_stages_origin_and_ask_for_nothing() -> None:
    api = described(AUTH="api-key", CORS_ORIGIN="https://faces.example.org")

    for path in api["paths"].values():
        preflight = path["options"]
        assert "security" not in preflight
        answer = preflight["x-amazon-apigateway-integration"]["responses"]["default"]
        headers = answer["responseParameters"]
        origin = headers["method.response.header.Access-Control-Allow-Origin"]
        assert origin == "'https://faces.example.org'"
        allowed = headers["method.response.header.Access-Control-Allow-Headers"]
        assert {"X-Api-Key", "Authorization", "Content-Type"} <= set(allowed.strip("'").split(","))


def test_bodies_reach_the_function_as_they_were_sent() -> None:
    assert described()["x-amazon-apigateway-binary-media-types"]
