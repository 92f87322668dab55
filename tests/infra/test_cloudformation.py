"""The data stack can be deployed after a deploy that was stopped or failed."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import boto3
import pytest

from facial_recognition.infra import data
from facial_recognition.local.project import Project
from localaws.server import EmbeddedAWS

BUCKET = "Resources: {Box: {Type: AWS::S3::Bucket, Properties: {BucketName: box-a}}}"


@pytest.fixture
def stacks(aws: EmbeddedAWS, project: Project) -> Iterator[Any]:
    """A client of CloudFormation, in an account with nothing in it."""
    aws.reset()
    yield boto3.client("cloudformation")
    aws.reset()


def test_a_deploy_goes_on_where_one_was_stopped_before_its_change_set_was_executed(
    stacks: Any,
) -> None:
    class Stopped(Exception):
        pass

    def stop(said: str) -> None:
        raise Stopped(said)

    given = {"Application": "x", "BucketName": "box-a", "Alarms": "false"}
    deploy = partial(data.deploy, boto3.Session(), "s", given)
    with pytest.raises(Stopped, match="creating"):
        deploy(stop)

    assert deploy([].append).outputs["BucketName"] == "box-a"


def test_a_stack_whose_making_failed_is_made_again(stacks: Any) -> None:
    boto3.client("s3").create_bucket(Bucket="box-a")
    change_set: Any = {"StackName": "s", "ChangeSetName": "c"}
    stacks.create_change_set(**change_set, ChangeSetType="CREATE", TemplateBody=BUCKET)
    stacks.execute_change_set(**change_set)
    [failed] = stacks.describe_stacks(StackName="s")["Stacks"]
    assert failed["StackStatus"] == "ROLLBACK_COMPLETE"
    boto3.client("s3").delete_bucket(Bucket="box-a")
    said: list[str] = []

    made = data.deploy(
        boto3.Session(),
        "s",
        {"Application": "x", "BucketName": "box-a", "Alarms": "false"},
        said.append,
    )

    assert made.outputs["BucketName"] == "box-a"
    assert made.is_new
    assert said == ["s: creating ...", "s: created"]
