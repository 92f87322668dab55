"""boto3's clients: made when first used, once, from one session."""

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
    # API Gateway gives up after 29 seconds: three tries of a call that hangs fit into that.
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
)
# At DEBUG they write requests whole, with the name and the photograph in them; and Lambda's
# setting for the level of logs is that of the root logger, from which these would take it.
for _logger in ("boto3", "botocore", "s3transfer", "urllib3"):
    logging.getLogger(_logger).setLevel(logging.WARNING)

_making = threading.RLock()  # a boto3 session may not make two clients at once


@cache
def _session() -> boto3.Session:
    session = boto3.Session()
    telemetry.watch(session.events)
    return session


@cache
def s3() -> "S3Client":
    """Return the client of Amazon S3."""
    # boto3 still presigns with version 2 in us-east-1, which newer regions refuse.
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
