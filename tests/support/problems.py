"""Problem details in responses."""

from typing import Any

import requests


def problem(response: requests.Response, status: int) -> str:
    """Check that a response is a problem with the given status; return its code."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"]
    assert body["title"]
    assert body["detail"]
    assert body["requestId"]
    return str(body["code"])
