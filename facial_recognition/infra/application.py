"""What a deployed application needs and Chalice does not do: each step may be done again."""

import json
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3

from facial_recognition.infra.patience import patiently
from facial_recognition.infra.stages import Stage

if TYPE_CHECKING:
    from mypy_boto3_apigateway.client import APIGatewayClient

MOST_TRIES_AGAIN = 2
OLDEST_EVENT = 6 * 3600
"""Seconds, the longest that Lambda keeps an event."""
LOG_DAYS = 30
RATE, BURST, DAILY_QUOTA = 10.0, 20, 50_000
"""What an API key may ask for: requests a second, at once, and a day."""
SECONDS_TO_INDEX = 0.5
"""Least time that the handler takes for a photograph, of which most is IndexFaces."""
FAST_REGIONS = ("eu-west-1", "us-east-1", "us-west-2")
"""Where Rekognition allows 50 IndexFaces a second by default; elsewhere it is 5.

Source: "Amazon Rekognition endpoints and quotas" in the AWS General Reference.
"""
SLOW_INDEX_RATE = 4
"""``INDEX_RATE`` elsewhere: below the quota, which others of the account may use, too."""
UNRESERVED = 100
"""Concurrent executions that Lambda does not let an account reserve."""


class GatewayProblem(NamedTuple):
    """How one of API Gateway's own errors is answered."""

    status: int | None
    """None where it stands for several."""
    code: str
    title: str


PROBLEMS = {
    "DEFAULT_4XX": GatewayProblem(None, "malformed_request", "The request was refused"),
    "DEFAULT_5XX": GatewayProblem(None, "internal", "Something went wrong on our side"),
    "ACCESS_DENIED": GatewayProblem(403, "forbidden", "This is not allowed"),
    "EXPIRED_TOKEN": GatewayProblem(403, "forbidden", "The credentials have expired"),
    "INTEGRATION_TIMEOUT": GatewayProblem(504, "service_unavailable", "The answer took too long"),
    "INVALID_API_KEY": GatewayProblem(403, "forbidden", "The API key is missing or wrong"),
    "INVALID_SIGNATURE": GatewayProblem(403, "forbidden", "The signature is wrong"),
    "MISSING_AUTHENTICATION_TOKEN": GatewayProblem(404, "not_found", "There is nothing here"),
    "QUOTA_EXCEEDED": GatewayProblem(429, "throttled", "The quota is used up"),
    "REQUEST_TOO_LARGE": GatewayProblem(413, "image_too_large", "The request is too large"),
    "THROTTLED": GatewayProblem(429, "throttled", "Too many requests"),
    "UNAUTHORIZED": GatewayProblem(401, "unauthorized", "Who are you?"),
}
"""API Gateway's own answers as problem details."""


def keep_failed_events(session: boto3.Session, stage: Stage, queue_arn: str) -> None:
    """Let the handlers be tried three times, and what fails then be put into the queue."""
    functions = session.client("lambda")
    for handler in stage.handlers:
        configure = partial(
            functions.put_function_event_invoke_config,
            FunctionName=stage.function_name(handler),
            MaximumRetryAttempts=MOST_TRIES_AGAIN,
            MaximumEventAgeInSeconds=OLDEST_EVENT,
            DestinationConfig={"OnFailure": {"Destination": queue_arn}},
        )
        # Which is refused as long as Lambda does not see that the new role may send to the queue.
        patiently(configure, lambda error: error["Code"] == "InvalidParameterValueException")


def keep_logs(session: boto3.Session, stage: Stage, days: int = LOG_DAYS) -> None:
    """Let the functions' logs be kept for some days.

    Chalice's own setting names a log group for the API's function that it never writes to.
    """
    logs = session.client("logs")
    for handler in stage.functions:
        group = f"/aws/lambda/{stage.function_name(handler)}"
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=group)
        logs.put_retention_policy(logGroupName=group, retentionInDays=days)


def concurrency_for(index_rate: float) -> int:
    """Return how many photographs may be indexed at once to keep below a rate a second."""
    return max(1, int(index_rate * SECONDS_TO_INDEX))


def may_reserve(session: boto3.Session, concurrency: int) -> bool:
    """Say whether the account has so many executions to reserve; a new one often has not."""
    limits = session.client("lambda").get_account_settings()["AccountLimit"]
    return limits["UnreservedConcurrentExecutions"] - concurrency >= UNRESERVED


def answer_with_problems(
    session: boto3.Session, stage: Stage, api_id: str, cors_origin: str
) -> None:
    """Let API Gateway's own errors read like the application's, and be seen by browsers."""
    gateway: Any = session.client("apigateway")
    for response, problem in problems(stage.environment.get("AUTH", "")).items():
        headers = {
            "Access-Control-Allow-Origin": cors_origin,
            "Content-Type": "application/problem+json",
        }
        if problem.status == HTTPStatus.TOO_MANY_REQUESTS:
            headers["Retry-After"] = "1"
        status = {} if problem.status is None else {"statusCode": str(problem.status)}
        gateway.put_gateway_response(
            restApiId=api_id,
            responseType=response,
            responseParameters={
                f"gatewayresponse.header.{name}": f"'{value}'" for name, value in headers.items()
            },
            responseTemplates={"application/json": _template(problem)},
            **status,
        )
    gateway.create_deployment(restApiId=api_id, stageName=stage.config["api_gateway_stage"])


def problems(auth: str) -> dict[str, GatewayProblem]:
    """Return API Gateway's answers for a stage of this ``AUTH``.

    An unknown path and a request without a signature get the same one; which of them is meant
    is known where no signatures are wanted.
    """
    if auth != "iam":
        return PROBLEMS
    unsigned = GatewayProblem(403, "forbidden", "The request is not signed")
    return {**PROBLEMS, "MISSING_AUTHENTICATION_TOKEN": unsigned}


_MESSAGE = "$context.error.messageString"
"""Its own words as a string of JSON: quotes in ``$context.error.message`` would end that."""


def _template(problem: GatewayProblem) -> str:
    answer = {
        "type": f"urn:facial-recognition:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": _MESSAGE,
        "code": problem.code,
        "requestId": "$context.requestId",
    }
    template = json.dumps({name: value for name, value in answer.items() if value is not None})
    return template.replace(f'"{_MESSAGE}"', _MESSAGE)


def give_key(session: boto3.Session, stage: Stage, api_id: str) -> str:
    """Make an API key with a usage plan, where there is none yet.

    Returns:
        The key's id, with which whoever may can read its value.
    """
    gateway = session.client("apigateway")
    name = stage.application
    plan = _plan(gateway, name, api_id, stage.config["api_gateway_stage"])
    found = [key for key in _keys(gateway, name) if key["name"] == name]
    key: Any = found[0] if found else gateway.create_api_key(name=name, enabled=True)
    in_plan = gateway.get_usage_plan_keys(usagePlanId=plan)["items"]
    if key["id"] not in {item["id"] for item in in_plan}:
        gateway.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    return str(key["id"])


def take_keys(session: boto3.Session, stage: Stage) -> None:
    """Remove the API key and its usage plan, which would keep the API from being deleted."""
    gateway = session.client("apigateway")
    name = stage.application
    for plan in _plans(gateway, name):
        for used in plan.get("apiStages", []):
            gateway.update_usage_plan(
                usagePlanId=plan["id"],
                patchOperations=[
                    {
                        "op": "remove",
                        "path": "/apiStages",
                        "value": f"{used['apiId']}:{used['stage']}",
                    }
                ],
            )
        gateway.delete_usage_plan(usagePlanId=plan["id"])
    for key in _keys(gateway, name):
        if key["name"] == name:
            gateway.delete_api_key(apiKey=key["id"])


def _plan(gateway: "APIGatewayClient", name: str, api_id: str, stage: str) -> str:
    for plan in _plans(gateway, name):
        if not any(used["apiId"] == api_id for used in plan.get("apiStages", [])):
            added: Any = {"op": "add", "path": "/apiStages", "value": f"{api_id}:{stage}"}
            gateway.update_usage_plan(usagePlanId=plan["id"], patchOperations=[added])
        return str(plan["id"])
    made = gateway.create_usage_plan(
        name=name,
        apiStages=[{"apiId": api_id, "stage": stage}],
        throttle={"rateLimit": RATE, "burstLimit": BURST},
        quota={"limit": DAILY_QUOTA, "period": "DAY"},
    )
    return made["id"]


def _plans(gateway: "APIGatewayClient", name: str) -> list[Any]:
    pages = gateway.get_paginator("get_usage_plans").paginate()
    return [plan for page in pages for plan in page["items"] if plan["name"] == name]


def _keys(gateway: "APIGatewayClient", name: str) -> list[Any]:
    pages = gateway.get_paginator("get_api_keys").paginate(nameQuery=name)
    return [key for page in pages for key in page["items"]]
