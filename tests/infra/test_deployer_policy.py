"""``docs/deployer-policy.json`` allows every call that a deploy or an undeploy makes."""

import fnmatch
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from facial_recognition.infra import data, pages
from tests.infra.project import BUCKET, ROOT, ProjectCopy

NOTE_CALLS = """
import os, botocore.client
call = botocore.client.BaseClient._make_api_call
def noting(self, name, parameters):
    service = self.meta.service_model
    method = service.operation_model(name).http["method"]
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(f"{service.endpoint_prefix} {name} {method}\\n")
    return call(self, name, parameters)
botocore.client.BaseClient._make_api_call = noting
"""
ACTIONS = {
    "s3:DeleteObjects": "s3:DeleteObjectVersion",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "lambda:Invoke": "lambda:InvokeFunction",
}
"""Operations that have another name in IAM."""
OURS = (
    "facial-recognition-",
    "face-metadata",
    "face-audit",
    "face-collection",
    "changeSet/deploy-",  # of CloudFormation, beside the stacks
)
REASONS = {
    "in IAM, these are part of the action that puts the same": """
        s3:DeleteBucketAnalyticsConfiguration s3:DeleteBucketCors s3:DeleteBucketEncryption
        s3:DeleteBucketLifecycle s3:DeleteBucketMetricsConfiguration s3:DeleteBucketReplication
    """,
    "no bucket has access lists, a website, logs, replicas, locks or metadata tables": """
        s3:CreateBucketMetadataTableConfiguration s3:DeleteBucketMetadataTableConfiguration
        s3:DeleteBucketWebsite s3:PutAccelerateConfiguration s3:PutAnalyticsConfiguration
        s3:PutBucketAbac s3:PutBucketAcl s3:PutBucketLogging s3:PutBucketObjectLockConfiguration
        s3:PutBucketReplication s3:PutBucketWebsite s3:PutIntelligentTieringConfiguration
        s3:PutInventoryConfiguration s3:PutMetricsConfiguration s3:PutObjectAcl
        s3:PutObjectLockConfiguration s3:PutReplicationConfiguration s3tables:*
        s3:UpdateBucketMetadata*TableConfiguration
    """,
    "tables and collection are retained": "dynamodb:DeleteTable rekognition:DeleteCollection",
    "no table has replicas, imports, streams, expiry, insights, policies or its own keys": """
        dynamodb:*TableReplica dynamodb:BatchWriteItem dynamodb:DeleteItem
        dynamodb:DeleteResourcePolicy dynamodb:DisableKinesisStreamingDestination
        dynamodb:EnableKinesisStreamingDestination dynamodb:GetItem dynamodb:ImportTable
        dynamodb:PutItem dynamodb:PutResourcePolicy dynamodb:Query dynamodb:Scan
        dynamodb:UpdateContributorInsights dynamodb:UpdateItem
        dynamodb:UpdateKinesisStreamingDestination dynamodb:UpdateTimeToLive
        iam:CreateServiceLinkedRole kinesis:* kms:* logs:CreateLogStream logs:DescribeLog*
        logs:PutLogEvents s3:GetObjectMetadata
    """,
    "the topic has no data protection": "sns:PutDataProtectionPolicy",
    "the distribution has one tenant, no origin in a VPC and no staging": """
        cloudfront:CreateConnectionGroup cloudfront:GetConnectionGroup cloudfront:GetVpcOrigin
        cloudfront:UpdateDistributionWithStagingConfig
    """,
}
NEVER_REACHED = {action for actions in REASONS.values() for action in actions.split()}
"""Actions of CloudFormation's handlers that the properties in our templates do not lead to."""
WITHOUT_A_RESOURCE = {
    "cloudfront:CreateDistribution",
    "cloudfront:CreateDistributionWithTags",
    "cloudfront:CreateOriginAccessControl",
    "cloudfront:CreateResponseHeadersPolicy",
    "lambda:GetAccountSettings",
}
"""Actions that IAM allows on all resources or on none."""
MOST_CHARACTERS = 6144
"""Of a managed policy, without white space."""


def statements() -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield name, actions and resources of each statement."""
    document = json.loads((ROOT / "docs" / "deployer-policy.json").read_text())
    for statement in document["Statement"]:
        actions, arns = (
            [given] if isinstance(given := statement[part], str) else given
            for part in ("Action", "Resource")
        )
        yield statement["Sid"], actions, arns


def granted() -> set[str]:
    return {action for _, actions, _ in statements() for action in actions}


def match(action: str, patterns: Iterable[str]) -> bool:
    """Return whether a pattern matches an action."""
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in patterns)


@cache
def handled() -> set[str]:
    """Return the actions that CloudFormation may need from the caller for our templates."""
    kinds = set()
    for template in (data.TEMPLATE, pages.TEMPLATE):
        resources: Any = cfn_yaml.load(str(template))["Resources"]
        kinds |= {resource["Type"] for resource in resources.values()}
    found: set[str] = set()
    for kind in kinds:
        schema: Any = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        for handler in ("create", "read", "update", "delete"):
            found |= set(schema["handlers"][handler]["permissions"])
    return found


def action(line: str) -> str:
    """Return IAM's name of an operation."""
    service, operation, method = line.split()
    if service == "apigateway":
        return f"apigateway:{method}"
    named = f"{service}:{operation}"
    return ACTIONS.get(named, named)


def test_it_grants_each_call_of_deploy_and_undeploy(copy: ProjectCopy, tmp_path: Path) -> None:
    (tmp_path / "noting").mkdir()
    (tmp_path / "noting" / "sitecustomize.py").write_text(NOTE_CALLS)
    calls = tmp_path / "calls"
    noting: Any = {"PYTHONPATH": str(tmp_path / "noting"), "CALLS": str(calls)}

    copy.with_pages()
    steps = ("deploy",), ("deploy", "--forget-after-days", "30"), ("undeploy",)
    for step in steps:
        done = copy.run(*step, **noting)
        assert done.code == 0, done.error

    made = {action(line) for line in calls.read_text().splitlines()}
    assert len(made) > 20
    refused = {action for action in made if not match(action, granted())}
    assert refused == {"sts:GetCallerIdentity"}  # it needs no permission


def test_it_grants_what_cloudformation_calls_in_the_callers_name() -> None:
    needed = {action for action in handled() if not match(action, NEVER_REACHED)}

    assert {action for action in needed if not match(action, granted())} == set()


def test_actions_that_are_never_reached_are_not_granted() -> None:
    for pattern in NEVER_REACHED:
        meant = {action for action in handled() if match(action, [pattern])}
        assert meant, pattern
        assert not {action for action in meant if match(action, granted())}


def test_it_fits_into_a_managed_policy() -> None:
    document = (ROOT / "docs" / "deployer-policy.json").read_text()

    assert len("".join(document.split())) <= MOST_CHARACTERS


def test_wildcards_allow_reading_settings_and_not_content() -> None:
    for action in granted():
        if "*" in action:
            service, _, name = action.partition(":")
            assert name.startswith(("Get", "List", "Describe"))
            assert not match(f"{service}:GetObject", [action])


def test_only_actions_without_resources_are_granted_on_all() -> None:
    on_all = {action for _, actions, arns in statements() if "*" in arns for action in actions}

    assert on_all == WITHOUT_A_RESOURCE


def test_it_is_about_nothing_but_this_application() -> None:
    for name, _, arns in statements():
        for arn in arns:
            assert name in ("Api", "Concurrency", "Distribution", "NewDistribution") or any(
                ours in arn for ours in OURS
            )
    assert BUCKET.startswith("facial-recognition-")
