"""Requests as API Gateway hands them to the application."""

import json
from typing import Any

from chalice.app import Request


def gateway_request(
    body: bytes, content_type: str | None = "application/json", **query: str
) -> Request:
    """Return a POST request."""
    return Request(
        {
            "multiValueQueryStringParameters": {k: [v] for k, v in query.items()} or None,
            "headers": {"Content-Type": content_type} if content_type else {},
            "pathParameters": {},
            "requestContext": {"httpMethod": "POST", "resourcePath": "/"},
            "stageVariables": {},
            "body": body,
        }
    )


def json_request(**fields: Any) -> Request:
    """Return a POST request with a JSON object."""
    return gateway_request(json.dumps(fields).encode())
