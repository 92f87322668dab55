"""Structured logs. Nothing of a face, a name, a key or an image is ever written to them."""

import traceback
from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from chalice.app import Request

_logger = Logger(service="facial-recognition", location=None)


def request_id(request: Request) -> str:
    """Return the id by which a request is found in the logs."""
    lambda_id = getattr(request.lambda_context, "aws_request_id", "")
    return str(request.context.get("requestId") or lambda_id)


def request(route: str, request_id: str, status: int, outcome: str, seconds: float) -> None:
    """Log that a request was answered."""
    _logger.info(
        "request",
        route=route,
        request_id=request_id,
        status=status,
        outcome=outcome,
        milliseconds=round(seconds * 1000, 1),
    )


def photograph(request_id: str, outcome: str, code: str) -> None:
    """Log what became of a photograph that an event spoke of."""
    _logger.info("photograph", request_id=request_id, outcome=outcome, code=code)


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
