"""The boto3 clients. Each is made on first use, once, and all share one session."""

import logging
import threading
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from chalicelib import telemetry

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_rekognition import RekognitionClient
    from mypy_boto3_s3 import S3Client

CONFIG = Config(
    # API Gateway gives up after 29 seconds. Three tries of a call that hangs fit into that.
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
)
# At level DEBUG, these loggers write whole requests, with the name and the photograph. Lambda's
# log level applies to the root logger, and these would inherit it.
for _logger in ("boto3", "botocore", "s3transfer", "urllib3"):
    logging.getLogger(_logger).setLevel(logging.WARNING)

_making = threading.RLock()  # a boto3 session cannot make two clients at once


@cache
def _session() -> boto3.Session:
    session = boto3.Session()
    telemetry.watch(session.events)
    return session


@cache
def s3() -> "S3Client":
    """Return the client of Amazon S3."""
    # In us-east-1, boto3 still presigns with signature version 2, which newer regions refuse.
    config = CONFIG.merge(Config(signature_version="s3v4"))
    with _making:
        return _session().client("s3", config=config)


@cache
def dynamodb() -> "DynamoDBClient":
    """Return the client of Amazon DynamoDB."""
    with _making:
        return _session().client("dynamodb", config=CONFIG)


@cache
def rekognition() -> "RekognitionClient":
    """Return the client of Amazon Rekognition."""
    with _making:
        return _session().client("rekognition", config=CONFIG)


@cache
def rekognition_once() -> "RekognitionClient":
    """Return a client of Amazon Rekognition that tries each call once.

    Only so does an error tell whether the call may have done something.
    """
    with _making:
        once = CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
        return _session().client("rekognition", config=once)
