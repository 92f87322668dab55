"""The quotas of AWS that limit how fast a stage can index."""

import math
from collections.abc import Sequence
from contextlib import suppress

import boto3

from facial_recognition.infra.reporting import Report
from facial_recognition.infra.stages import StageConfig

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
    """Return how many executions a handler of events needs within a rate per second.

    A photograph takes less than a second. What is too much for Rekognition goes into the queue of
    work, so the handler needs some executions more than the rate would allow it.
    """
    return max(2, math.ceil(index_rate))


def may_reserve(session: boto3.Session, functions: Sequence[str], concurrency: int) -> bool:
    """Return whether functions can reserve executions; in a new account they often cannot.

    Args:
        session: of the account and region.
        functions: the functions' names; what they have reserved already counts as free.
        concurrency: the executions that each of them is to reserve.
    """
    client = session.client("lambda")
    free = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    for function in functions:
        with suppress(client.exceptions.ResourceNotFoundException):  # it is not deployed yet
            found = client.get_function_concurrency(FunctionName=function)
            free += found.get("ReservedConcurrentExecutions", 0)
    return free - len(functions) * concurrency >= UNRESERVED
