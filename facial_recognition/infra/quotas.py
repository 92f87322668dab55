"""The quotas of AWS that limit how fast a stage can index."""

from contextlib import suppress

import boto3

from facial_recognition.infra.reporting import Report
from facial_recognition.infra.stages import StageConfig

SECONDS_TO_INDEX = 0.5
"""Least time that the handler takes for a photograph; most of it is IndexFaces."""
FAST_REGIONS = ("eu-west-1", "us-east-1", "us-west-2")
"""Regions in which Rekognition allows 50 IndexFaces a second by default; elsewhere it is 5.

Source: "Amazon Rekognition endpoints and quotas" in the AWS General Reference.
"""
SLOW_INDEX_RATE = 4
"""``INDEX_RATE`` elsewhere: below the quota, which the account's other programs use too."""
UNRESERVED = 100
"""Concurrent executions that Lambda does not let an account reserve."""


def limit_index_rate(stage: StageConfig, region: str, report: Report) -> None:
    """Set a lower ``INDEX_RATE`` where Rekognition's quota is low, unless the stage sets one."""
    if region in FAST_REGIONS or stage.environment.get("INDEX_RATE"):
        return
    stage.environment["INDEX_RATE"] = str(SLOW_INDEX_RATE)
    report(
        f"  warning: INDEX_RATE is {SLOW_INDEX_RATE} now, because Rekognition allows 5 IndexFaces"
        f" a second in {region}. If Service Quotas grants you more, set it in .chalice/config.json."
    )


def concurrency_for(index_rate: float) -> int:
    """Return how many photographs can be indexed at once within a rate per second."""
    return max(1, int(index_rate * SECONDS_TO_INDEX))


def may_reserve(session: boto3.Session, function: str, concurrency: int) -> bool:
    """Return whether a function can reserve this many executions; in a new account it often cannot.

    Args:
        session: of the account and region.
        function: the function's name; what it has reserved already counts as free.
        concurrency: the executions to reserve.
    """
    client = session.client("lambda")
    free = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    with suppress(client.exceptions.ResourceNotFoundException):  # it is not deployed yet
        found = client.get_function_concurrency(FunctionName=function)
        free += found.get("ReservedConcurrentExecutions", 0)
    return free - concurrency >= UNRESERVED
