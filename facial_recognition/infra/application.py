"""Settings of a deployed application that Chalice cannot make. Each function can be repeated."""

import json
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3

from facial_recognition.infra.retrying import retry_while
from facial_recognition.infra.stages import StageConfig

if TYPE_CHECKING:
    from mypy_boto3_apigateway.client import APIGatewayClient

MAX_RETRIES = 2
MAX_EVENT_AGE = 6 * 3600
"""Seconds; Lambda keeps no event longer."""
LOG_DAYS = 30
RATE, BURST, DAILY_QUOTA = 10.0, 20, 50_000
"""Limits of an API key: requests per second, concurrent requests, requests per day."""


class GatewayProblem(NamedTuple):
    """The problem details for one of API Gateway's own errors."""

    status: int | None
    """None where the error has several."""
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
    "UNAUTHORIZED": GatewayProblem(401, "unauthorized", "The caller is not known"),
}
"""Problem details for API Gateway's own errors, by API Gateway's names for them."""


def keep_failed_events(session: boto3.Session, stage: StageConfig, queue_arn: str) -> None:
    """Have Lambda try each event three times, and put events that still fail into the queue."""
    functions = session.client("lambda")
    for handler in stage.handlers:
        configure = partial(
            functions.put_function_event_invoke_config,
            FunctionName=stage.function_name(handler),
            MaximumRetryAttempts=MAX_RETRIES,
            MaximumEventAgeInSeconds=MAX_EVENT_AGE,
            DestinationConfig={"OnFailure": {"Destination": queue_arn}},
        )
        # Lambda refuses this until it sees that the new role may send to the queue.
        retry_while(configure, lambda error: error["Code"] == "InvalidParameterValueException")


def set_log_retention(session: boto3.Session, stage: StageConfig, days: int = LOG_DAYS) -> None:
    """Keep the functions' logs for some days.

    Chalice's own setting does not work for the API's function: it names another log group than the
    one that the function writes to.
    """
    logs = session.client("logs")
    for handler in stage.functions:
        group = f"/aws/lambda/{stage.function_name(handler)}"
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=group)
        logs.put_retention_policy(logGroupName=group, retentionInDays=days)


def answer_with_problems(
    session: boto3.Session, stage: StageConfig, api_id: str, cors_origin: str
) -> None:
    """Make API Gateway answer its own errors with problem details, which browsers may read.

    Args:
        session: of the account and region.
        stage: the stage.
        api_id: of its REST API.
        cors_origin: origin of the pages that may read the answers, or ``*``.
    """
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
    """Return the problem details for API Gateway's own errors on a stage with this ``AUTH``.

    API Gateway has the same error for an unknown path and for a request without a signature. Only
    with ``AUTH=iam`` can it be the latter.
    """
    if auth != "iam":
        return PROBLEMS
    unsigned = GatewayProblem(403, "forbidden", "The request is not signed")
    return {**PROBLEMS, "MISSING_AUTHENTICATION_TOKEN": unsigned}


_MESSAGE = "$context.error.messageString"
"""API Gateway's message as a JSON string. ``$context.error.message`` does not escape quotes."""


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


def ensure_api_key(session: boto3.Session, stage: StageConfig, api_id: str) -> str:
    """Return the id of the stage's API key; make the key and its usage plan if there is none."""
    gateway = session.client("apigateway")
    name = stage.application
    plan = _ensure_plan(gateway, name, api_id, stage.config["api_gateway_stage"])
    found = [key for key in _keys(gateway, name) if key["name"] == name]
    key: Any = found[0] if found else gateway.create_api_key(name=name, enabled=True)
    pages = gateway.get_paginator("get_usage_plan_keys").paginate(usagePlanId=plan)
    if key["id"] not in {item["id"] for page in pages for item in page["items"]}:
        gateway.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    return str(key["id"])


def delete_api_keys(session: boto3.Session, stage: StageConfig) -> None:
    """Delete the API key and its usage plan; AWS deletes no API that has a usage plan."""
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


def _ensure_plan(gateway: "APIGatewayClient", name: str, api_id: str, stage: str) -> str:
    """Return the id of the usage plan, which covers a stage of the API."""
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
