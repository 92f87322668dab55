"""Deploys and undeploys after one that failed half-way."""

import shutil

import boto3
import pytest

from localaws.middleware.faults import Fault
from localaws.server import EmbeddedAWS
from tests.infra.project import BUCKET, ProjectCopy, functions, rest_apis


def refused(operation: str, *, times: int = 1, code: str = "Refused", message: str = "") -> Fault:
    """Return a fault that SDKs do not retry."""
    return Fault(operation, "error before", times=times, status=400, code=code, message=message)


def left() -> list[str]:
    """List the resources of the application."""
    client = boto3.client
    notified = client("s3").get_bucket_notification_configuration(Bucket=BUCKET)
    return [
        *functions(),
        *rest_apis(),
        *(role["RoleName"] for role in client("iam").list_roles()["Roles"]),
        *(rule["Name"] for rule in client("events").list_rules()["Rules"]),
        *(c["LambdaFunctionArn"] for c in notified.get("LambdaFunctionConfigurations", [])),
    ]


def notes(copy: ProjectCopy) -> list[str]:
    """List Chalice's notes of deployed resources, in the project and in the bucket."""
    here = (copy.folder / ".chalice" / "deployed").glob("*.json")
    there = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=".chalice/")
    return [*map(str, here), *(found["Key"] for found in there.get("Contents", []))]


@pytest.fixture
def failed(copy: ProjectCopy, aws: EmbeddedAWS) -> ProjectCopy:
    """A copy whose first deploy failed after the API was made."""
    aws.faults.script(refused("CreateDeployment"))
    done = copy.run("deploy", "--forget-after-days", "30")
    assert done.code == 1
    assert len(rest_apis()) == 1
    assert len(functions()) == 4
    assert notes(copy) == []
    return copy


def test_a_deploy_continues_with_the_api_of_a_failed_one(failed: ProjectCopy) -> None:
    before = rest_apis()

    failed.deploy()

    assert rest_apis() == before
    assert len(functions()) == 4
    assert len(notes(failed)) == 2


def test_an_undeploy_removes_the_resources_of_a_failed_deploy(failed: ProjectCopy) -> None:
    done = failed.run("undeploy")

    assert done.code == 0, done.said + done.error
    assert left() == notes(failed) == []
    assert "nothing is deployed" in failed.run("undeploy").said


@pytest.mark.parametrize("operation", ["CreateFunction", "ImportRestApi"])
def test_wherever_a_deploy_fails_an_undeploy_leaves_nothing(
    copy: ProjectCopy, aws: EmbeddedAWS, operation: str
) -> None:
    aws.faults.script(refused(operation))
    assert copy.run("deploy").code == 1
    assert left()

    done = copy.run("undeploy")

    assert done.code == 0, done.said + done.error
    assert left() == notes(copy) == []


def test_an_undeploy_continues_after_a_failed_one(copy: ProjectCopy, aws: EmbeddedAWS) -> None:
    copy.deploy("--forget-after-days", "30")
    aws.faults.script(refused("DeleteFunction"))
    assert copy.run("undeploy").code == 1
    assert left()

    done = copy.run("undeploy")

    assert done.code == 0, done.said + done.error
    assert left() == notes(copy) == []


def test_each_stage_finds_its_own_api_among_those_of_one_name(copy: ProjectCopy) -> None:
    copy.deploy()
    [prods] = rest_apis()
    copy.deploy("--stage", "club")
    [clubs] = set(rest_apis()) - {prods}
    shutil.rmtree(copy.folder / ".chalice" / "deployed")
    s3 = boto3.client("s3")
    for stage in ("prod", "club"):
        bucket = BUCKET.replace("prod", stage)
        s3.delete_object(Bucket=bucket, Key=f".chalice/deployed/{stage}.json")

    copy.deploy("--stage", "club")
    assert set(rest_apis()) == {prods, clubs}

    copy.run("undeploy")

    assert rest_apis() == [clubs]
    assert {name for name in functions() if "prod" in name} == set()
    assert len(functions()) == 3


def test_an_undeploy_removes_an_api_that_was_made_twice(copy: ProjectCopy) -> None:
    copy.deploy()
    (copy.folder / ".chalice" / "deployed" / "prod.json").unlink()
    copy.chalice("deploy", "--stage", "prod")  # without its note, Chalice makes another API
    assert len(rest_apis()) == 2

    done = copy.run("undeploy")

    assert done.code == 0, done.said + done.error
    assert left() == []


def test_an_api_that_somebody_deleted_is_made_again(copy: ProjectCopy) -> None:
    copy.deploy()
    boto3.client("apigateway").delete_rest_api(restApiId=rest_apis()[0])

    copy.deploy()

    assert len(rest_apis()) == 1


# --- new resources that AWS does not see at once ---


def test_s3_is_given_time_to_see_that_it_may_invoke_the_functions(
    copy: ProjectCopy, aws: EmbeddedAWS
) -> None:
    message = "Unable to validate the following destination configurations"
    aws.faults.script(
        refused(
            "PutBucketNotificationConfiguration",
            times=2,
            code="InvalidArgument",
            message=message,
        )
    )

    done = copy.deploy()

    assert done.said.count("trying again in") == 2
    assert len(rest_apis()) == 1


def test_other_refusals_of_s3_are_not_retried(copy: ProjectCopy, aws: EmbeddedAWS) -> None:
    aws.faults.script(refused("PutBucketNotificationConfiguration", message="The bucket is full"))

    done = copy.run("deploy")

    assert done.code == 1
    assert "trying again" not in done.said


def test_lambda_is_given_time_to_see_what_a_new_role_may(
    copy: ProjectCopy, aws: EmbeddedAWS
) -> None:
    aws.faults.script(
        refused("PutFunctionEventInvokeConfig", times=2, code="InvalidParameterValueException")
    )

    copy.deploy()

    handler = "facial-recognition-prod-index_photograph"
    config = boto3.client("lambda").get_function_event_invoke_config(FunctionName=handler)
    assert config["DestinationConfig"]["OnFailure"]["Destination"]
    aws.faults.script(refused("PutFunctionEventInvokeConfig", code="AccessDeniedException"))
    assert copy.run("deploy").code == 1
