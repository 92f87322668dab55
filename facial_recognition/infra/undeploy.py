"""Take a stage's application away; its data stays, unless that is asked for twice.

python -m facial_recognition.infra.undeploy --stage prod
python -m facial_recognition.infra.undeploy --stage prod --delete-data
"""

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from typing import Any

import boto3
from botocore.exceptions import ClientError

from chalicelib.settings import Settings
from facial_recognition.infra import application, data, pages
from facial_recognition.infra.deploy import (
    DeployError,
    chalice,
    guarded,
    refuse_local,
    report,
    step,
)
from facial_recognition.infra.patience import patiently
from facial_recognition.infra.record import Record
from facial_recognition.infra.stages import Stage

_GONE = frozenset(
    {
        "NoSuchBucket",
        "ResourceNotFoundException",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
    }
)


def remove_application(session: boto3.Session, stage: Stage) -> None:
    """Remove functions, API, roles and keys, and the alarms about them."""
    step("application")
    record = Record(session, stage)
    record.fetch()
    application.take_keys(session, stage)
    if record.resources():
        chalice("delete", "--stage", stage.name)
        record.remove()
        _remove_apis(session, record.rest_apis())
        report("deleted")
    else:
        report("nothing is deployed")
    _remove_pages(session, pages.stack_name(stage.application))
    stack = data.stack_name(stage.application)
    if data.exists(session, stack):
        settings = Settings.from_environment(stage.environment)
        given = data.parameters(
            settings, stage.application, stage.config["api_gateway_stage"], alarms=False
        )
        data.deploy(session, stack, data.TEMPLATE, given, report)
    report(f"kept: the photographs in {stage.environment['FACES_BUCKET']}, records and faces")


def _remove_apis(session: boto3.Session, api_ids: Iterable[str]) -> None:
    """Remove APIs that deploys have made besides the one that was noted."""
    gateway = session.client("apigateway")
    for api_id in api_ids:
        # AWS deletes no more than one in half a minute.
        patiently(
            partial(gateway.delete_rest_api, restApiId=api_id),
            lambda error: error["Code"] == "TooManyRequestsException",
        )


def _remove_pages(session: boto3.Session, stack: str) -> None:
    if data.exists(session, stack):
        report(f"{stack}: deleting, which takes CloudFront some minutes ...")
        _empty_bucket(session, data.outputs(session, stack)["BucketName"])
        data.delete(session, stack)
        report(f"{stack}: deleted")


def delete_data(session: boto3.Session, stage: Stage) -> None:
    """Delete photographs with all versions, records, faces and failed events, for good."""
    step("data")
    settings = Settings.from_environment(stage.environment)
    stack = data.stack_name(stage.application)
    if data.exists(session, stack):
        data.delete(session, stack)
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
            report(f"{name}: was not there")


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


def main() -> int:
    """Take a stage away."""
    parser = argparse.ArgumentParser(
        prog="python -m facial_recognition.infra.undeploy", description=__doc__
    )
    parser.add_argument("--stage", required=True, help="a stage of .chalice/config.json")
    parser.add_argument("--delete-data", action="store_true", help="delete all data, too")
    parser.add_argument(
        "--confirm", metavar="BUCKET", help="with --delete-data: the name of the bucket"
    )
    return guarded(_run, parser.parse_args())


def _run(options: argparse.Namespace) -> None:
    stage = Stage(options.stage)
    refuse_local(stage)
    session = boto3.Session()
    bucket = stage.environment["FACES_BUCKET"]
    if options.delete_data:
        confirmed = options.confirm
        if confirmed is None and sys.stdin.isatty():
            print(f"All photographs, records and faces of stage {stage.name} will be deleted.")
            confirmed = input("Type the name of the bucket to go on: ").strip()
        if confirmed != bucket:
            raise DeployError(f"nothing was deleted: to delete all data say CONFIRM={bucket}")
    remove_application(session, stage)
    if options.delete_data:
        delete_data(session, stage)


if __name__ == "__main__":
    sys.exit(main())
