"""The data resources: bucket, table, collection and queue, made where they are missing."""

import argparse
import os
from typing import Any

import boto3
from botocore.exceptions import ClientError

from chalicelib.settings import Settings
from chalicelib.storage import PERSON_INDEX
from infra import stages

FAILED_EVENTS = "facial-recognition-failed-events"
"""Queue of the events that no try could handle."""

_EXISTS = frozenset(
    {
        "BucketAlreadyOwnedByYou",
        "ResourceInUseException",  # DynamoDB: the table
        "ResourceAlreadyExistsException",  # Rekognition: the collection
    }
)


def ensure(session: boto3.Session, settings: Settings) -> None:
    """Make what is missing of bucket, table, collection and queue; may be called again.

    Raises:
        botocore.exceptions.ClientError: AWS refuses.
    """
    _ensure_bucket(session, settings.faces_bucket, settings.cors_origin)
    _ensure_table(session, settings.faces_table)
    _ensure_audit_table(session, settings.faces_audit_table)
    rekognition = session.client("rekognition")
    _unless_it_exists(rekognition.create_collection, CollectionId=settings.faces_collection)
    two_weeks = str(14 * 24 * 3600)
    session.client("sqs").create_queue(
        QueueName=FAILED_EVENTS, Attributes={"MessageRetentionPeriod": two_weeks}
    )


def _ensure_bucket(session: boto3.Session, bucket: str, cors_origin: str) -> None:
    s3 = session.client("s3")
    region = s3.meta.region_name
    where: dict[str, Any] = {}
    if region != "us-east-1":  # which S3 refuses to be told
        where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    _unless_it_exists(s3.create_bucket, Bucket=bucket, **where)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    rule: Any = {
        "AllowedMethods": ["POST"],
        "AllowedOrigins": [cors_origin],
        "AllowedHeaders": ["*"],
    }
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})


def _ensure_table(session: boto3.Session, table: str) -> None:
    dynamodb = session.client("dynamodb")
    _unless_it_exists(
        dynamodb.create_table,
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "faceId", "AttributeType": "S"},
            {"AttributeName": "personId", "AttributeType": "S"},
        ],
        KeySchema=[{"AttributeName": "faceId", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": PERSON_INDEX,
                "KeySchema": [
                    {"AttributeName": "personId", "KeyType": "HASH"},
                    {"AttributeName": "faceId", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    dynamodb.get_waiter("table_exists").wait(TableName=table)


def _ensure_audit_table(session: boto3.Session, table: str) -> None:
    dynamodb = session.client("dynamodb")
    _unless_it_exists(
        dynamodb.create_table,
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "person", "AttributeType": "S"},
            {"AttributeName": "entry", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "person", "KeyType": "HASH"},
            {"AttributeName": "entry", "KeyType": "RANGE"},
        ],
    )
    dynamodb.get_waiter("table_exists").wait(TableName=table)


def _unless_it_exists(create: Any, **arguments: Any) -> None:
    try:
        create(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _EXISTS:
            raise


def main() -> None:
    """Make the resources of a stage."""
    parser = argparse.ArgumentParser(prog="python -m infra.resources", description=__doc__)
    parser.add_argument("--stage", required=True, help="a stage of .chalice/config.json")
    stages.use(parser.parse_args().stage)
    ensure(boto3.Session(), Settings.from_environment(os.environ))


if __name__ == "__main__":
    main()
