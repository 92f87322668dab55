"""CloudFormation of the embedded AWS: templates, change sets and stacks."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from facial_recognition.infra import data
from facial_recognition.local.project import Project
from localaws.server import EmbeddedAWS
from localaws.services.cloudformation import Template, TemplateError
from localaws.services.cloudformation.resources import TYPES

BUCKET = """
Parameters:
  Name: {Type: String, AllowedPattern: "[a-z]+"}
  Keep: {Type: String, Default: "no", AllowedValues: ["yes", "no"]}
Conditions:
  Keeps: !Equals [!Ref Keep, "yes"]
Resources:
  Box:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: !Join ["-", [box, !Ref Name]]
      VersioningConfiguration: !If [Keeps, {Status: Enabled}, !Ref "AWS::NoValue"]
Outputs:
  Arn: {Value: !GetAtt Box.Arn}
  Said: {Value: !Sub "${Box} in ${AWS::Region}, not ${!Box}"}
"""


@pytest.fixture
def stacks(aws: EmbeddedAWS, project: Project) -> Iterator[Any]:
    aws.reset()
    yield boto3.client("cloudformation")
    aws.reset()


def change(
    stacks: Any, kind: str, text: str, *, imports: bool = False, **parameters: str
) -> dict[str, Any]:
    """Make and execute a change set, and return the stack."""
    stacks.create_change_set(
        StackName="s",
        ChangeSetName="c",
        ChangeSetType=kind,
        TemplateBody=text,
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        ImportExistingResources=imports,
    )
    stacks.execute_change_set(StackName="s", ChangeSetName="c")
    [found] = stacks.describe_stacks(StackName="s")["Stacks"]
    assert isinstance(found, dict)
    return found


def test_a_stack_has_what_its_template_says(stacks: Any) -> None:
    found = change(stacks, "CREATE", BUCKET, Name="a")

    assert found["StackStatus"] == "CREATE_COMPLETE"
    assert {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]} == {
        "Arn": "arn:aws:s3:::box-a",
        "Said": "box-a in us-east-1, not ${Box}",
    }
    assert "Status" not in boto3.client("s3").get_bucket_versioning(Bucket="box-a")


def test_an_update_changes_what_is_there(stacks: Any) -> None:
    change(stacks, "CREATE", BUCKET, Name="a")

    found = change(stacks, "UPDATE", BUCKET, Name="a", Keep="yes")

    assert found["StackStatus"] == "UPDATE_COMPLETE"
    assert boto3.client("s3").get_bucket_versioning(Bucket="box-a")["Status"] == "Enabled"


def test_a_change_set_without_a_change_cannot_be_executed(stacks: Any) -> None:
    change(stacks, "CREATE", BUCKET, Name="a")

    with pytest.raises(ClientError, match="InvalidChangeSetStatus"):
        change(stacks, "UPDATE", BUCKET, Name="a")


def test_a_change_set_keeps_its_name_from_others_until_it_is_executed(stacks: Any) -> None:
    given: Any = {"StackName": "s", "ChangeSetName": "c", "ChangeSetType": "CREATE"}
    text = "Resources: {Box: {Type: AWS::S3::Bucket}}"
    stacks.create_change_set(**given, TemplateBody=text)

    with pytest.raises(ClientError, match="AlreadyExistsException"):
        stacks.create_change_set(**given, TemplateBody=text)

    stacks.execute_change_set(StackName="s", ChangeSetName="c")
    stacks.create_change_set(**{**given, "ChangeSetType": "UPDATE"}, TemplateBody=text)


def test_a_deploy_continues_after_one_that_stopped_before_its_change_set_was_executed(
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


def test_deleting_a_stack_deletes_resources_that_are_not_retained(stacks: Any) -> None:
    change(stacks, "CREATE", BUCKET, Name="a")

    stacks.delete_stack(StackName="s")

    assert boto3.client("s3").list_buckets()["Buckets"] == []
    with pytest.raises(ClientError, match="does not exist"):
        stacks.describe_stacks(StackName="s")


def test_an_existing_resource_makes_a_stack_fail(stacks: Any) -> None:
    boto3.client("s3").create_bucket(Bucket="box-a")

    found = change(stacks, "CREATE", BUCKET, Name="a")

    assert found["StackStatus"] == "ROLLBACK_COMPLETE"
    [event] = [
        event
        for event in stacks.describe_stack_events(StackName="s")["StackEvents"]
        if event["ResourceStatus"] == "CREATE_FAILED"
    ]
    assert event["LogicalResourceId"] == "Box"
    assert "already exists" in event["ResourceStatusReason"]
    boto3.client("s3").head_bucket(Bucket="box-a")  # the stack did not make it, so it stays


@pytest.mark.parametrize(
    ("name", "policy", "status"),
    [
        ("box-a", "Retain", "CREATE_COMPLETE"),
        ("box-a", "RetainExceptOnCreate", "CREATE_COMPLETE"),
        ("box-a", "Delete", "ROLLBACK_COMPLETE"),
        ('!Sub "box-${Name}"', "Retain", "ROLLBACK_COMPLETE"),
    ],
)
def test_only_retained_resources_with_literal_names_are_adopted(
    stacks: Any, name: str, policy: str, status: str
) -> None:
    boto3.client("s3").create_bucket(Bucket="box-a")
    text = BUCKET.replace('!Join ["-", [box, !Ref Name]]', name)
    text = text.replace("AWS::S3::Bucket", f"AWS::S3::Bucket\n    DeletionPolicy: {policy}")

    found = change(stacks, "CREATE", text, imports=True, Name="a")

    assert found["StackStatus"] == status


def test_a_queue_is_never_adopted_because_aws_makes_its_address(stacks: Any) -> None:
    boto3.client("sqs").create_queue(QueueName="q")
    queue = "{Type: AWS::SQS::Queue, DeletionPolicy: Retain, Properties: {QueueName: q}}"

    found = change(stacks, "CREATE", f"Resources: {{Queue: {queue}}}", imports=True)

    assert found["StackStatus"] == "ROLLBACK_COMPLETE"


@pytest.mark.parametrize("name", TYPES)
def test_identifiers_are_those_of_cloudformations_schemas(name: str) -> None:
    schema: Any = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", name).schema
    [identifier] = schema["primaryIdentifier"]
    is_made_up = identifier in schema.get("readOnlyProperties", [])

    assert TYPES[name].identifier == (None if is_made_up else identifier.rpartition("/")[2])


def test_a_stack_whose_making_failed_is_made_again(stacks: Any) -> None:
    boto3.client("s3").create_bucket(Bucket="box-a")
    change(stacks, "CREATE", BUCKET, Name="a")
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources: [", "Template format error"),
        ("Outputs: {}", "no resources"),
        ("Resources: {A: {Type: AWS::EC2::Instance}}", "Unrecognized resource types"),
    ],
)
def test_templates_that_cannot_be_used_are_refused(stacks: Any, text: str, message: str) -> None:
    with pytest.raises(ClientError, match=message):
        change(stacks, "CREATE", text)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, r"\[Name\] must have values"),
        ({"Name": "a", "Other": "b"}, r"\[Other\] do not exist"),
        ({"Name": "a", "Keep": "perhaps"}, "must be one of"),
        ({"Name": "A"}, "must match pattern"),
    ],
)
def test_parameters_are_checked(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        Template(BUCKET, parameters, {})


def test_resources_that_need_each_other_are_refused() -> None:
    circle = "{Type: X, Properties: {A: !Ref %s}}"
    template = Template(f"Resources: {{A: {circle % 'B'}, B: {circle % 'A'}}}", {}, {})

    with pytest.raises(TemplateError, match="Circular"):
        list(template.in_order())
