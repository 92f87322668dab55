"""Remove a stage from AWS. The data stays, unless the operator asks twice to delete it."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import boto3
from botocore.exceptions import ClientError

from chalicelib.settings import Settings
from facial_recognition.infra import application, chalice_cli, data, pages, stacks
from facial_recognition.infra.deployed_resources import DeployedResources
from facial_recognition.infra.reporting import Report, Reporter
from facial_recognition.infra.retrying import retry_while
from facial_recognition.infra.stages import StageConfig

_GONE = frozenset(
    {
        "NoSuchBucket",
        "ResourceNotFoundException",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
    }
)


def remove_application(session: boto3.Session, stage: StageConfig, reporter: Reporter) -> None:
    """Remove the functions, the API, roles, keys and pages, and the alarms about them.

    Raises:
        facial_recognition.infra.errors.DeployError: Chalice or CloudFormation failed.
        botocore.exceptions.ClientError: AWS refuses a call.
    """
    report = reporter.report
    reporter.step("application")
    resources = DeployedResources(session, stage)
    resources.fetch()
    application.delete_api_keys(session, stage)
    if resources.resources():
        chalice_cli.run("delete", "--stage", stage.name, report=report)
        resources.remove()
        _delete_apis(session, resources.rest_apis())
        report("deleted")
    else:
        report("nothing is deployed")
    _delete_pages(session, pages.stack_name(stage.application), report)
    stack = data.stack_name(stage.application)
    if stacks.exists(session, stack):
        settings = Settings.from_environment(stage.environment)
        given = data.parameters(
            settings, stage.application, stage.config["api_gateway_stage"], alarms=False
        )
        data.deploy(session, stack, given, report)
    report(f"kept: the photographs in {stage.environment['FACES_BUCKET']}, records and faces")


def _delete_apis(session: boto3.Session, api_ids: Iterable[str]) -> None:
    """Delete the APIs that deploys made besides the one in Chalice's note."""
    gateway = session.client("apigateway")
    for api_id in api_ids:
        # AWS deletes no more than one API in half a minute.
        retry_while(
            partial(gateway.delete_rest_api, restApiId=api_id),
            lambda error: error["Code"] == "TooManyRequestsException",
        )


def _delete_pages(session: boto3.Session, stack: str, report: Report) -> None:
    if stacks.exists(session, stack):
        report(f"{stack}: deleting, for which CloudFront takes some minutes ...")
        _empty_bucket(session, stacks.outputs(session, stack)["BucketName"])
        stacks.delete(session, stack)
        report(f"{stack}: deleted")


def delete_all_data(session: boto3.Session, stage: StageConfig, reporter: Reporter) -> None:
    """Delete photographs with all versions, records, faces and failed events, for good.

    Raises:
        botocore.exceptions.ClientError: AWS refuses a call.
    """
    report = reporter.report
    reporter.step("data")
    settings = Settings.from_environment(stage.environment)
    stack = data.stack_name(stage.application)
    if stacks.exists(session, stack):
        stacks.delete(session, stack)
        report(f"{stack}: deleted")
    for name, delete in (
        (settings.faces_bucket, _delete_bucket),
        (settings.faces_table, _delete_table),
        (settings.faces_audit_table, _delete_table),
        (settings.faces_collection, _delete_collection),
        (settings.failed_events_queue, _delete_queue),
    ):
        try:
            delete(session, name)
            report(f"{name}: deleted")
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            report(f"{name}: did not exist")


def _delete_bucket(session: boto3.Session, bucket: str) -> None:
    _empty_bucket(session, bucket)
    session.client("s3").delete_bucket(Bucket=bucket)


def _empty_bucket(session: boto3.Session, bucket: str) -> None:
    s3 = session.client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found: list[Any] = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects: Any = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
        if objects:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


def _delete_table(session: boto3.Session, table: str) -> None:
    dynamodb = session.client("dynamodb")
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    dynamodb.get_waiter("table_exists").wait(TableName=table)
    dynamodb.delete_table(TableName=table)


def _delete_collection(session: boto3.Session, collection: str) -> None:
    session.client("rekognition").delete_collection(CollectionId=collection)


def _delete_queue(session: boto3.Session, queue: str) -> None:
    sqs = session.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"])
