"""Adopt data resources that somebody made by hand."""

from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError
from botocore.waiter import WaiterModel, create_waiter_with_client

from chalicelib.records import PERSON_INDEX
from chalicelib.settings import Settings
from facial_recognition.infra import data
from facial_recognition.infra.errors import DeployError
from facial_recognition.infra.reporting import Report
from facial_recognition.infra.retrying import retry_while

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class NotAdoptable(DeployError):
    """A resource is missing, or the application cannot use it; the message says what to do."""


def adopt(session: boto3.Session, settings: Settings, report: Report) -> str:
    """Check the bucket and the table of a stage, and make whatever else is missing.

    Nothing is removed and no data changes. The table gets its index. The collection, the table of
    the audit trail and the queue of failed events are made as the data template describes them.

    Args:
        session: of the account and region.
        settings: of the stage; they name the resources.
        report: called with each line for the operator.

    Returns:
        The queue's ARN.

    Raises:
        NotAdoptable: the bucket or the table is missing or cannot be used.
        botocore.exceptions.ClientError: AWS refuses a call.
    """
    _adopt_bucket(session, settings.faces_bucket, report)
    _adopt_table(session.client("dynamodb"), settings.faces_table, report)
    _ensure_audit_table(session.client("dynamodb"), settings.faces_audit_table, report)
    _adopt_collection(session, settings.faces_collection, report)
    return _ensure_queue(session, settings.failed_events_queue, report)


def _adopt_bucket(session: boto3.Session, bucket: str, report: Report) -> None:
    s3 = session.client("s3")
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] == "403":
            raise NotAdoptable(f"The bucket {bucket} belongs to another account.") from None
        raise NotAdoptable(
            f"There is no bucket {bucket}. Name yours in FACES_BUCKET of the stage in"
            " .chalice/config.json."
        ) from None
    report(f"bucket {bucket}: found")
    if s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        report(
            "  warning: the bucket keeps no versions. A photograph removed by mistake is gone, and"
            " one that is overwritten twice while it is indexed may be recorded wrongly."
        )


def _adopt_table(dynamodb: "DynamoDBClient", table: str, report: Report) -> None:
    try:
        found = dynamodb.describe_table(TableName=table)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        raise NotAdoptable(
            f"There is no table {table}. Name yours in FACES_TABLE of the stage in"
            " .chalice/config.json."
        ) from None
    if found["KeySchema"] != [{"AttributeName": "faceId", "KeyType": "HASH"}]:
        raise NotAdoptable(f"The table {table} must have the hash key faceId and no range key.")
    if {"AttributeName": "faceId", "AttributeType": "S"} not in found["AttributeDefinitions"]:
        raise NotAdoptable(f"The table {table} must have a hash key faceId that is a string.")
    if PERSON_INDEX in {index["IndexName"] for index in found.get("GlobalSecondaryIndexes", [])}:
        report(f"table {table}: found, with its index")
    else:
        _add_index(dynamodb, table, found, report)


def _add_index(dynamodb: "DynamoDBClient", table: str, found: Any, report: Report) -> None:
    report(f"table {table}: adding the index {PERSON_INDEX}, which can take minutes ...")
    described = data.properties("Records")
    (create,) = described["GlobalSecondaryIndexes"]
    if found.get("BillingModeSummary", {}).get("BillingMode") != "PAY_PER_REQUEST":
        rates = found["ProvisionedThroughput"]
        create["ProvisionedThroughput"] = {
            key: rates[key] for key in ("ReadCapacityUnits", "WriteCapacityUnits")
        }
    dynamodb.update_table(
        TableName=table,
        AttributeDefinitions=described["AttributeDefinitions"],
        GlobalSecondaryIndexUpdates=[{"Create": create}],
    )
    _index_ready(dynamodb).wait(TableName=table)
    report(f"table {table}: has its index")


def _index_ready(dynamodb: "DynamoDBClient") -> Any:
    """Return a waiter for the indexes of a table; boto3 has none."""
    status = {
        "matcher": "pathAll",
        "argument": "Table.GlobalSecondaryIndexes[].IndexStatus",
        "expected": "ACTIVE",
        "state": "success",
    }
    waiters = {
        "version": 2,
        "waiters": {
            "IndexReady": {
                "operation": "DescribeTable",
                "delay": 5,
                "maxAttempts": 720,  # an hour: the index of a large table takes its time
                "acceptors": [status],
            }
        },
    }
    return create_waiter_with_client("IndexReady", WaiterModel(waiters), dynamodb)


def _ensure_audit_table(dynamodb: "DynamoDBClient", table: str, report: Report) -> None:
    described = data.properties("AuditTrail")
    try:
        dynamodb.describe_table(TableName=table)
        report(f"table {table}: found")
    except dynamodb.exceptions.ResourceNotFoundException:
        dynamodb.create_table(
            TableName=table,
            BillingMode=described["BillingMode"],
            AttributeDefinitions=described["AttributeDefinitions"],
            KeySchema=described["KeySchema"],
            SSESpecification={"Enabled": described["SSESpecification"]["SSEEnabled"]},
            DeletionProtectionEnabled=described["DeletionProtectionEnabled"],
        )
        report(f"table {table}: made")
    dynamodb.get_waiter("table_exists").wait(TableName=table)
    # For an existing table too: an earlier deploy may have stopped before this.
    retry_while(
        partial(_ensure_backups, dynamodb, table, described["PointInTimeRecoverySpecification"]),
        lambda error: error["Code"] == "ContinuousBackupsUnavailableException",
    )


def _ensure_backups(dynamodb: "DynamoDBClient", table: str, wanted: Any) -> None:
    """Switch on point-in-time recovery of a table; a new table refuses it for some seconds."""
    found = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    recovery = found.get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
        dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=wanted)


def _ensure_queue(session: boto3.Session, queue: str, report: Report) -> str:
    sqs = session.client("sqs")
    try:
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        report(f"queue {queue}: found")
    except sqs.exceptions.QueueDoesNotExist:
        described = data.properties("FailedEvents")
        attributes: Any = {
            name: str(described[name]).lower()
            for name in ("MessageRetentionPeriod", "SqsManagedSseEnabled")
        }
        url = sqs.create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
        report(f"queue {queue}: made")
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return found["Attributes"]["QueueArn"]


def _adopt_collection(session: boto3.Session, collection: str, report: Report) -> None:
    rekognition = session.client("rekognition")
    try:
        faces = rekognition.describe_collection(CollectionId=collection)["FaceCount"]
        report(f"collection {collection}: found, with {faces} faces")
    except rekognition.exceptions.ResourceNotFoundException:
        rekognition.create_collection(CollectionId=collection)
        report(f"collection {collection}: made")
