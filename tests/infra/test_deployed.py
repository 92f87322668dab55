"""The resources of a deployed application."""

import json
from collections.abc import Iterator

import boto3
import pytest

from facial_recognition.infra import application, quotas
from localaws.server import EmbeddedAWS
from tests.infra.project import (
    ACCOUNT,
    BUCKET,
    REGION,
    ProjectCopy,
    api_key,
    functions,
    rest_apis,
)

HANDLERS = {
    "facial-recognition-prod-index_photograph": "s3:ObjectCreated:*",
    "facial-recognition-prod-unindex_photograph": "s3:ObjectRemoved:*",
}


@pytest.fixture(scope="module")
def deployed(
    aws: EmbeddedAWS, built: ProjectCopy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectCopy]:
    """A deployed copy of the project, for all tests of this file."""
    aws.reset()
    copy = ProjectCopy(tmp_path_factory.mktemp("deployed"))
    copy.take_packages(built)
    copy.deploy()
    yield copy
    aws.reset()


def test_functions_and_api_are_there(deployed: ProjectCopy) -> None:
    made = functions()
    assert set(made) == {"facial-recognition-prod", *HANDLERS}
    for name, function in made.items():
        assert function["Runtime"].startswith("python3.")
        assert function["MemorySize"] == 512
        assert function["Timeout"] == (60 if name in HANDLERS else 29)
        variables = function["Environment"]["Variables"]
        assert variables["FACES_BUCKET"] == BUCKET
        assert variables["AUTH"] == "api-key"
        assert not [name for name in variables if name.startswith("AWS_")]
    [api] = rest_apis()
    gateway = boto3.client("apigateway")
    assert gateway.get_stage(restApiId=api, stageName="prod")["deploymentId"]
    paths = {r["path"]: set(r.get("resourceMethods", {})) for r in resources(api)}
    assert paths == {
        "/": set(),
        "/register": {"POST", "OPTIONS"},
        "/create-index": {"POST", "OPTIONS"},
        "/verify": {"POST", "OPTIONS"},
    }


def resources(api: str) -> list[dict[str, object]]:
    return list(boto3.client("apigateway").get_resources(restApiId=api)["items"])


def test_each_function_has_a_role_of_its_own_with_the_policy_of_its_file(
    deployed: ProjectCopy,
) -> None:
    made, stage, iam = functions(), deployed.stage(), boto3.client("iam")
    files = {name: stage.policy_files()[name] for name in stage.functions}
    assert len({made[stage.function_name(name)]["Role"] for name in files}) == len(files)
    for name, file in files.items():
        role = made[stage.function_name(name)]["Role"].rpartition("/")[2]
        [policy] = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        assert document == json.loads(file.read_text())
        assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []


def test_policies_name_the_very_resources_of_the_stage(deployed: ProjectCopy) -> None:
    for file in deployed.stage().policy_files().values():
        for statement in json.loads(file.read_text())["Statement"]:
            arns = statement["Resource"]
            for arn in [arns] if isinstance(arns, str) else arns:
                if arn == "*":
                    assert statement["Action"] == "rekognition:DetectFaces"
                elif arn.startswith("arn:aws:s3:::"):
                    assert BUCKET in arn
                else:
                    assert f":{REGION}:{ACCOUNT}:" in arn


def test_only_this_bucket_and_this_api_may_invoke_the_functions(deployed: ProjectCopy) -> None:
    client = boto3.client("lambda")
    for name in HANDLERS:
        [statement] = json.loads(client.get_policy(FunctionName=name)["Policy"])["Statement"]
        assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
        assert statement["Condition"] == {
            "ArnLike": {"AWS:SourceArn": f"arn:aws:s3:::{BUCKET}"},
            "StringEquals": {"AWS:SourceAccount": ACCOUNT},
        }
    policy = client.get_policy(FunctionName="facial-recognition-prod")["Policy"]
    for statement in json.loads(policy)["Statement"]:
        assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
        source = statement["Condition"]["ArnLike"]["AWS:SourceArn"]
        assert source.startswith(f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{rest_apis()[0]}/")


def test_the_bucket_sends_events_about_photographs_only(deployed: ProjectCopy) -> None:
    found = boto3.client("s3").get_bucket_notification_configuration(Bucket=BUCKET)
    told = {
        c["LambdaFunctionArn"].rpartition(":")[2]: c for c in found["LambdaFunctionConfigurations"]
    }
    assert {name: c["Events"] for name, c in told.items()} == {
        name: [event] for name, event in HANDLERS.items()
    }
    for configuration in told.values():
        [rule] = configuration["Filter"]["Key"]["FilterRules"]
        assert (rule["Name"].lower(), rule["Value"]) == ("prefix", "faces/")


def test_settings_that_chalice_cannot_make_are_made(deployed: ProjectCopy) -> None:
    client, logs = boto3.client("lambda"), boto3.client("logs")
    for name in HANDLERS:
        tries = client.get_function_event_invoke_config(FunctionName=name)
        assert tries["MaximumRetryAttempts"] == 2
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:facial-recognition-failed-events"
        assert tries["DestinationConfig"]["OnFailure"]["Destination"] == queue
    groups = {g["logGroupName"]: g for g in logs.describe_log_groups()["logGroups"]}
    assert {name: group["retentionInDays"] for name, group in groups.items()} == {
        f"/aws/lambda/{name}": 30 for name in functions()
    }
    reserved = client.get_function_concurrency(
        FunctionName="facial-recognition-prod-index_photograph"
    )
    assert reserved["ReservedConcurrentExecutions"] == quotas.concurrency_for(10)
    gateway = boto3.client("apigateway")
    # An edge-optimised endpoint could take photographs through points outside the region.
    [api] = gateway.get_rest_apis()["items"]
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    [plan] = gateway.get_usage_plans()["items"]
    assert plan["apiStages"] == [{"apiId": rest_apis()[0], "stage": "prod"}]
    assert plan["throttle"] == {"rateLimit": application.RATE, "burstLimit": application.BURST}
    assert plan["quota"]["limit"] == application.DAILY_QUOTA
    [key] = gateway.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
    assert key["id"] == api_key()
    responses = gateway.get_gateway_responses(restApiId=rest_apis()[0])["items"]
    assert {r["responseType"] for r in responses} >= set(application.PROBLEMS)
