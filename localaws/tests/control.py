"""Signed requests to the control API, below ``/_localaws/``."""

from typing import Any

import boto3
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

PATIENCE = 60.0


def control(
    session: boto3.Session, aws_url: str, path: str, method: str = "GET", body: str = ""
) -> Any:
    """Send a request to the control API, and return its answer.

    Args:
        session: signs the request.
        aws_url: of the embedded AWS.
        path: such as ``quiet``.
        method: of HTTP.
        body: JSON, or nothing.
    """
    request = AWSRequest(method, f"{aws_url}/_localaws/{path}", data=body)
    SigV4Auth(session.get_credentials(), "localaws", "us-east-1").add_auth(request)
    answer = requests.request(
        method, request.url, data=body, headers=dict(request.headers), timeout=PATIENCE
    )
    assert answer.ok, answer.text
    return answer.json()
