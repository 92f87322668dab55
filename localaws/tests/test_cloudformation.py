"""CloudFormation: templates, change sets and stacks."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from laboratory import Laboratory
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
def stacks(laboratory: Laboratory) -> Any:
    return laboratory.client("cloudformation")


@pytest.fixture
def s3(laboratory: Laboratory) -> Any:
    return laboratory.s3


def change(
    stacks: Any, kind: str, text: str, *, imports: bool = False, **parameters: str
) -> dict[str, Any]:
    """Create and execute a change set, and return the stack."""
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


def test_a_stack_has_what_its_template_says(stacks: Any, s3: Any) -> None:
    found = change(stacks, "CREATE", BUCKET, Name="a")

    assert found["StackStatus"] == "CREATE_COMPLETE"
    assert {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]} == {
        "Arn": "arn:aws:s3:::box-a",
        "Said": "box-a in us-east-1, not ${Box}",
    }
    assert "Status" not in s3.get_bucket_versioning(Bucket="box-a")


def test_an_update_changes_what_is_there(stacks: Any, s3: Any) -> None:
    change(stacks, "CREATE", BUCKET, Name="a")

    found = change(stacks, "UPDATE", BUCKET, Name="a", Keep="yes")

    assert found["StackStatus"] == "UPDATE_COMPLETE"
    assert s3.get_bucket_versioning(Bucket="box-a")["Status"] == "Enabled"


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


def test_a_deleted_stack_takes_along_what_is_not_retained(stacks: Any, s3: Any) -> None:
    change(stacks, "CREATE", BUCKET, Name="a")

    stacks.delete_stack(StackName="s")

    assert s3.list_buckets()["Buckets"] == []
    with pytest.raises(ClientError, match="does not exist"):
        stacks.describe_stacks(StackName="s")


def test_what_is_there_already_makes_a_stack_fail(stacks: Any, s3: Any) -> None:
    s3.create_bucket(Bucket="box-a")

    found = change(stacks, "CREATE", BUCKET, Name="a")

    assert found["StackStatus"] == "ROLLBACK_COMPLETE"
    [event] = [
        event
        for event in stacks.describe_stack_events(StackName="s")["StackEvents"]
        if event["ResourceStatus"] == "CREATE_FAILED"
    ]
    assert event["LogicalResourceId"] == "Box"
    assert "already exists" in event["ResourceStatusReason"]
    s3.head_bucket(Bucket="box-a")  # the stack had not created it


@pytest.mark.parametrize(
    ("name", "policy", "status"),
    [
        ("box-a", "Retain", "CREATE_COMPLETE"),
        ("box-a", "RetainExceptOnCreate", "CREATE_COMPLETE"),
        ("box-a", "Delete", "ROLLBACK_COMPLETE"),
        ('!Sub "box-${Name}"', "Retain", "ROLLBACK_COMPLETE"),
    ],
)
def test_only_what_is_named_by_a_literal_and_retained_is_adopted(
    stacks: Any, s3: Any, name: str, policy: str, status: str
) -> None:
    s3.create_bucket(Bucket="box-a")
    text = BUCKET.replace('!Join ["-", [box, !Ref Name]]', name)
    text = text.replace("AWS::S3::Bucket", f"AWS::S3::Bucket\n    DeletionPolicy: {policy}")

    found = change(stacks, "CREATE", text, imports=True, Name="a")

    assert found["StackStatus"] == status


def test_a_queue_is_never_adopted_for_its_address_is_made_up(
    laboratory: Laboratory, stacks: Any
) -> None:
    laboratory.client("sqs").create_queue(QueueName="q")
    queue = "{Type: AWS::SQS::Queue, DeletionPolicy: Retain, Properties: {QueueName: q}}"

    found = change(stacks, "CREATE", f"Resources: {{Queue: {queue}}}", imports=True)

    assert found["StackStatus"] == "ROLLBACK_COMPLETE"


@pytest.mark.parametrize("name", TYPES)
def test_identifiers_are_those_of_cloudformations_schemas(name: str) -> None:
    schema: Any = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", name).schema
    [identifier] = schema["primaryIdentifier"]
    is_made_up = identifier in schema.get("readOnlyProperties", [])

    assert TYPES[name].identifier == (None if is_made_up else identifier.rpartition("/")[2])


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
