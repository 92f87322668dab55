"""``docs/deployer-policy.json`` grants whoever deploys each call that a deploy makes."""

import fnmatch
import json
from pathlib import Path
from typing import Any

from localaws.cloudformation.resources import TYPES
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
"""Operations that IAM knows by another name."""
OURS = ("facial-recognition-", "face-metadata", "face-audit", "face-collection")
MADE_BY_CLOUDFORMATION = {
    "AWS::S3::Bucket": "s3:CreateBucket",
    "AWS::S3::BucketPolicy": "s3:PutBucketPolicy",
    "AWS::DynamoDB::Table": "dynamodb:CreateTable",
    "AWS::Rekognition::Collection": "rekognition:CreateCollection",
    "AWS::SQS::Queue": "sqs:CreateQueue",
    "AWS::SNS::Topic": "sns:CreateTopic",
    "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm",
    "AWS::CloudWatch::Dashboard": "cloudwatch:PutDashboard",
    "AWS::CloudFront::OriginAccessControl": "cloudfront:CreateOriginAccessControl",
    "AWS::CloudFront::ResponseHeadersPolicy": "cloudfront:CreateResponseHeadersPolicy",
    "AWS::CloudFront::Distribution": "cloudfront:CreateDistribution",
}


def granted() -> set[str]:
    document = json.loads((ROOT / "docs" / "deployer-policy.json").read_text())
    found: set[str] = set()
    for statement in document["Statement"]:
        actions = statement["Action"]
        found |= {actions} if isinstance(actions, str) else set(actions)
    return found


def action(line: str) -> str:
    """Say what IAM calls an operation."""
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
    assert made - granted() == {"sts:GetCallerIdentity"}  # which needs no permission


def test_it_grants_what_cloudformation_makes_in_the_callers_name() -> None:
    assert set(MADE_BY_CLOUDFORMATION) == set(TYPES)
    assert set(MADE_BY_CLOUDFORMATION.values()) <= granted()


def test_it_is_about_nothing_but_this_application() -> None:
    document = json.loads((ROOT / "docs" / "deployer-policy.json").read_text())

    for statement in document["Statement"]:
        arns = statement["Resource"]
        for arn in [arns] if isinstance(arns, str) else arns:
            assert statement["Sid"] in ("Api", "Concurrency", "Distribution") or any(
                name in arn
                for name in (
                    "facial-recognition-",
                    "face-metadata",
                    "face-audit",
                    "face-collection",
                    "changeSet/deploy-",  # CloudFormation's own, of the stacks beside it
                )
            )
        assert not any(fnmatch.fnmatch(name, "*[*]*") for name in statement["Action"])
    assert BUCKET.startswith("facial-recognition-")
