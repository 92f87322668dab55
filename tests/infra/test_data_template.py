"""The data resources and alarms that ``data.yaml`` describes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib.records import PERSON_INDEX
from chalicelib.settings import Settings
from facial_recognition.infra import data
from localaws.services.cloudformation import Template
from localaws.services.cloudformation.resources import TYPES
from tests.support.service import BUCKET, TABLE, Service

DATA = {"Photographs", "Records", "AuditTrail", "Faces"}
PSEUDO = {"AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"}


def template(**parameters: str) -> Template:
    given = {"Application": "facial-recognition-prod", "BucketName": "a-bucket", **parameters}
    return Template(data.TEMPLATE.read_text(), given, PSEUDO)


def properties(name: str, **parameters: str) -> dict[str, Any]:
    """Return a resource's properties, with references to other resources by their names."""
    found = template(**parameters).resources[name]["Properties"]
    assert isinstance(found, dict)
    return found


def test_it_is_clean_under_cfn_lint() -> None:
    lint = Path(sys.executable).with_name("cfn-lint")

    done = subprocess.run([lint, data.TEMPLATE], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_data_survives_whatever_happens_to_the_stack() -> None:
    for name in DATA:
        resource = template().resources[name]
        assert resource["DeletionPolicy"] == "Retain"
        assert resource["UpdateReplacePolicy"] == "Retain"


def test_a_queue_is_not_left_in_the_way_of_the_next_stack() -> None:
    assert template().resources["FailedEvents"].get("DeletionPolicy", "Delete") == "Delete"


def test_the_resources_of_the_template_get_literal_names() -> None:
    given = data.parameters(Settings(), "app", "prod", alarms=True)

    sent = Template(data.with_literal_names(data.TEMPLATE.read_text(), given), given, PSEUDO)

    for name in DATA:
        identifier = TYPES[sent.resources[name]["Type"]].identifier
        assert sent.resources[name]["Properties"][identifier] in given.values()
    assert sent.resources["FailedEvents"]["Properties"]["QueueName"] == given["FailedEventsQueue"]


def test_photographs_are_versioned_encrypted_and_nobody_elses() -> None:
    bucket = properties("Photographs")

    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("AES256", "aws:kms")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    [ownership] = bucket["OwnershipControls"]["Rules"]
    assert ownership["ObjectOwnership"] == "BucketOwnerEnforced"


def test_photographs_come_and_go_encrypted_only() -> None:
    [statement] = properties("PhotographsPolicy")["PolicyDocument"]["Statement"]

    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert statement["Action"] == "s3:*"
    assert len(statement["Resource"]) == 2  # the bucket and its objects
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_removed_photographs_are_deleted_within_a_month() -> None:
    rules = properties("Photographs")["LifecycleConfiguration"]["Rules"]
    said = {key: value for rule in rules for key, value in rule.items()}

    assert {rule["Status"] for rule in rules} == {"Enabled"}
    assert said["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert said["ExpiredObjectDeleteMarker"] is True
    assert said["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_browsers_may_only_upload_from_the_pages() -> None:
    [rule] = properties("Photographs")["CorsConfiguration"]["CorsRules"]

    assert rule["AllowedMethods"] == ["POST"]
    assert rule["AllowedOrigins"] == [{"Ref": "CorsOrigin"}]


def test_records_are_kept_safe() -> None:
    table = properties("Records")

    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["DeletionProtectionEnabled"] is True
    assert table["KeySchema"] == [{"AttributeName": "faceId", "KeyType": "HASH"}]
    [index] = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == PERSON_INDEX
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["personId", "faceId"]


def test_the_audit_trail_is_kept_safe() -> None:
    table = properties("AuditTrail")

    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["DeletionProtectionEnabled"] is True


def test_failed_events_wait_for_two_weeks() -> None:
    queue = properties("FailedEvents")

    assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert queue["SqsManagedSseEnabled"] is True


@pytest.mark.parametrize(
    ("namespace", "metric"),
    [
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
        ("AWS/Lambda", "AsyncEventAge"),
        ("AWS/ApiGateway", "5XXError"),
        ("AWS/ApiGateway", "Latency"),
    ],
)
def test_there_is_an_alarm(namespace: str, metric: str) -> None:
    assert [
        name
        for name, resource in template().resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
        and resource["Properties"]["Namespace"] == namespace
        and resource["Properties"]["MetricName"] == metric
    ]


def test_every_function_has_an_alarm_for_errors() -> None:
    made = {
        dimension["Value"] if isinstance(dimension["Value"], str) else json.dumps(dimension)
        for resource in template().resources.values()
        if resource.get("Properties", {}).get("MetricName") == "Errors"
        for dimension in resource["Properties"]["Dimensions"]
    }

    assert len(made) == 4


def test_somebody_hears_of_alarms_where_there_is_an_address() -> None:
    assert "AlarmTopic" not in template().resources
    told = template(AlarmEmail="ada@example.org").resources
    assert told["AlarmTopic"]["Properties"]["Subscription"][0]["Protocol"] == "email"
    for resource in told.values():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            assert resource["Properties"]["AlarmActions"]["Fn::If"][0] == "WithEmail"


def test_alarms_and_dashboard_can_be_left_out() -> None:
    assert set(template(Alarms="false").resources) == {
        *DATA,
        "PhotographsPolicy",
        "FailedEvents",
    }


def test_the_embedded_aws_has_what_the_template_says(service: Service) -> None:
    s3, dynamodb = service.s3, boto3.client("dynamodb")

    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    blocked = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    rules = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert {"NoncurrentDays": 30} in [rule.get("NoncurrentVersionExpiration") for rule in rules]
    [cors] = s3.get_bucket_cors(Bucket=BUCKET)["CORSRules"]
    assert (cors["AllowedMethods"], cors["MaxAgeSeconds"]) == (["POST"], 3600)
    encryption = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]
    assert "AES256" in json.dumps(encryption)
    table = dynamodb.describe_table(TableName=TABLE)["Table"]
    assert table["DeletionProtectionEnabled"] is True
    assert table["SSEDescription"]["Status"] == "ENABLED"
    backups = dynamodb.describe_continuous_backups(TableName=TABLE)
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"
