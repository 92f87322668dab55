"""``make deploy`` and ``make undeploy``, against the embedded AWS."""

import shutil
from datetime import UTC, date, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from facial_recognition.infra.errors import missing_permission
from facial_recognition.infra.quotas import limit_index_rate
from localaws.middleware.faults import Fault
from localaws.server import EmbeddedAWS
from tests.infra.project import ACCOUNT, BUCKET, ProjectCopy, api_key, functions, rest_apis


def test_a_second_deploy_changes_nothing(copy: ProjectCopy) -> None:
    done = copy.deploy()
    assert "faces check --repair --stage prod" in done.said
    before = (rest_apis(), api_key(), sorted(functions()), copy.stage().config)

    done = copy.deploy()

    assert "facial-recognition-prod-data: nothing to change" in done.said
    assert "faces check" not in done.said
    assert (rest_apis(), api_key(), sorted(functions()), copy.stage().config) == before
    assert len(boto3.client("apigateway").get_usage_plans()["items"]) == 1


def test_api_gateways_errors_are_put_back_after_each_deploy_of_chalice(copy: ProjectCopy) -> None:
    copy.deploy()
    gateway = boto3.client("apigateway")
    before = gateway.get_gateway_responses(restApiId=rest_apis()[0])["items"]
    copy.chalice("deploy", "--stage", "prod")
    assert gateway.get_gateway_responses(restApiId=rest_apis()[0])["items"] != before

    copy.deploy()

    assert gateway.get_gateway_responses(restApiId=rest_apis()[0])["items"] == before


def test_another_machine_continues_with_the_same_api(copy: ProjectCopy) -> None:
    copy.deploy()
    before = rest_apis()
    shutil.rmtree(copy.folder / ".chalice" / "deployed")

    copy.deploy()

    assert rest_apis() == before


def test_an_undeploy_leaves_the_data_and_a_deploy_finds_it_again(copy: ProjectCopy) -> None:
    copy.deploy()
    boto3.client("s3").put_object(Bucket=BUCKET, Key="faces/ada/ada.jpg", Body=b"photograph")

    done = copy.run("undeploy")

    assert done.code == 0, done.error
    assert functions() == {}
    assert rest_apis() == []
    gateway = boto3.client("apigateway")
    assert gateway.get_usage_plans()["items"] == gateway.get_api_keys()["items"] == []
    assert boto3.client("iam").list_roles()["Roles"] == []
    assert boto3.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    boto3.client("s3").head_object(Bucket=BUCKET, Key="faces/ada/ada.jpg")
    assert copy.run("undeploy").code == 0  # again
    copy.deploy()
    boto3.client("s3").head_object(Bucket=BUCKET, Key="faces/ada/ada.jpg")


def test_data_survives_its_stack_and_is_adopted_by_the_next(copy: ProjectCopy) -> None:
    copy.deploy()
    boto3.client("s3").put_object(Bucket=BUCKET, Key="faces/ada/ada.jpg", Body=b"photograph")
    copy.run("undeploy")

    boto3.client("cloudformation").delete_stack(StackName="facial-recognition-prod-data")

    boto3.client("s3").head_object(Bucket=BUCKET, Key="faces/ada/ada.jpg")
    assert "QueueUrls" not in boto3.client("sqs").list_queues()  # no stack could adopt it
    done = copy.deploy()
    assert "facial-recognition-prod-data: created" in done.said
    boto3.client("s3").head_object(Bucket=BUCKET, Key="faces/ada/ada.jpg")


def test_data_is_deleted_only_after_a_confirmation(copy: ProjectCopy) -> None:
    copy.deploy()
    for body in (b"photograph", b"another"):
        boto3.client("s3").put_object(Bucket=BUCKET, Key="faces/ada/ada.jpg", Body=body)

    done = copy.run("undeploy", "--delete-data")

    assert done.code == 1
    assert f"CONFIRM={BUCKET}" in done.error
    assert len(functions()) == 3
    done = copy.run("undeploy", "--delete-data", "--confirm", BUCKET)
    assert done.code == 0, done.error
    assert boto3.client("s3").list_buckets()["Buckets"] == []
    assert boto3.client("dynamodb").list_tables()["TableNames"] == []
    assert boto3.client("rekognition").list_collections()["CollectionIds"] == []
    assert "QueueUrls" not in boto3.client("sqs").list_queues()


def test_a_deploy_schedules_the_forgetting_of_people(copy: ProjectCopy) -> None:
    today = datetime.now(UTC).date()
    copy.deploy("--forget-after-days", "90")
    environment = copy.stage().environment
    assert environment["FORGET_AFTER_DAYS"] == "90"
    noted_since = date.fromisoformat(environment["VERIFICATIONS_NOTED_SINCE"])
    assert noted_since >= today
    [rule] = boto3.client("events").list_rules()["Rules"]
    assert rule["ScheduleExpression"] == "rate(1 day)"
    function = functions()["facial-recognition-prod-forget_unverified"]
    assert function["Timeout"] == 900
    logs = boto3.client("logs").describe_log_groups()["logGroups"]
    assert {group["retentionInDays"] for group in logs} == {30}

    environment["VERIFICATIONS_NOTED_SINCE"] = "2026-01-01"
    stage = copy.stage()
    stage.environment.update(environment)
    stage.save()
    copy.deploy("--forget-after-days", "30")
    assert copy.stage().environment["VERIFICATIONS_NOTED_SINCE"] == "2026-01-01"

    copy.deploy("--forget-after-days", "0")
    assert "VERIFICATIONS_NOTED_SINCE" not in copy.stage().environment
    assert boto3.client("events").list_rules()["Rules"] == []
    assert len(functions()) == 3


def test_a_stage_of_another_name_has_everything_of_its_own(copy: ProjectCopy) -> None:
    copy.deploy()

    copy.deploy("--stage", "club")

    assert {name for name in functions() if name.startswith("facial-recognition-club")} == {
        "facial-recognition-club",
        "facial-recognition-club-index_photograph",
        "facial-recognition-club-unindex_photograph",
    }
    environment = copy.stage("club").environment
    assert environment["FACES_TABLE"] == "face-metadata-club"
    assert environment["FACES_BUCKET"] == BUCKET.replace("prod", "club")
    assert environment["METRICS"] == "club"
    assert {name.name for name in copy.stage("club").policy_files().values()}.isdisjoint(
        name.name for name in copy.stage().policy_files().values()
    )
    for file in copy.stage("club").policy_files().values():
        assert "prod" not in file.read_text()
    assert len(rest_apis()) == 2


def test_the_pages_are_published_and_may_call_the_api(copy: ProjectCopy) -> None:
    copy.with_pages()
    copy.deploy()

    said = boto3.client("cloudformation").describe_stacks(StackName="facial-recognition-prod-pages")
    made = {o["OutputKey"]: o["OutputValue"] for o in said["Stacks"][0]["Outputs"]}
    s3 = boto3.client("s3")
    config = s3.get_object(Bucket=made["BucketName"], Key="config.js")["Body"].read().decode()
    assert f"https://{rest_apis()[0]}.execute-api.us-east-1.amazonaws.com/prod" in config
    assert '"auth": "api-key"' in config
    for function in functions().values():
        assert function["Environment"]["Variables"]["CORS_ORIGIN"] == made["PagesUrl"]
    [rule] = s3.get_bucket_cors(Bucket=BUCKET)["CORSRules"]
    assert rule["AllowedOrigins"] == [made["PagesUrl"]]
    answers = boto3.client("apigateway").get_gateway_responses(restApiId=rest_apis()[0])["items"]
    origins = {
        answer["responseParameters"]["gatewayresponse.header.Access-Control-Allow-Origin"]
        for answer in answers
    }
    assert origins == {f"'{made['PagesUrl']}'"}


def test_everything_else_is_deployed_if_the_pages_cannot_be(copy: ProjectCopy) -> None:
    boto3.client("cloudfront").create_origin_access_control(  # so that the stack cannot make it
        OriginAccessControlConfig={
            "Name": "facial-recognition-prod-pages-us-east-1",
            "OriginAccessControlOriginType": "s3",
            "SigningBehavior": "always",
            "SigningProtocol": "sigv4",
        }
    )
    copy.with_pages()

    done = copy.run("deploy")

    assert done.code == 1
    assert "facial-recognition-prod-pages: Access: " in done.error
    assert "WITHOUT=pages" in done.error
    assert api_key() in done.said
    handler = "facial-recognition-prod-index_photograph"
    assert boto3.client("lambda").get_function_event_invoke_config(FunctionName=handler)
    copy.deploy("--without", "pages")


def test_the_origin_of_other_pages_is_kept(copy: ProjectCopy) -> None:
    copy.deploy("--without", "pages", "--cors-origin", "https://faces.example.org")

    done = copy.deploy("--without", "alarms")

    assert "pages: created" in done.said
    assert copy.stage().environment["CORS_ORIGIN"] == "https://faces.example.org"


def test_only_a_traced_stage_may_send_traces(copy: ProjectCopy) -> None:
    stage = copy.stage()
    stage.config["xray"] = True
    stage.save()

    copy.deploy()

    traced = boto3.client("lambda").get_function(FunctionName="facial-recognition-prod")
    assert traced["Configuration"]["TracingConfig"] == {"Mode": "Active"}
    for file in stage.policy_files().values():
        assert '"xray:PutTraceSegments"' in file.read_text()

    stage = copy.stage()
    del stage.config["xray"]
    stage.save()
    copy.deploy()
    for file in stage.policy_files().values():
        assert "xray" not in file.read_text()


def test_a_usage_plan_with_many_keys_is_found(copy: ProjectCopy) -> None:
    copy.deploy()
    gateway = boto3.client("apigateway")
    [plan] = gateway.get_usage_plans()["items"]
    [own] = gateway.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
    gateway.delete_usage_plan_key(usagePlanId=plan["id"], keyId=own["id"])
    for number in range(30):
        key = gateway.create_api_key(name=f"door-{number}", enabled=True)["id"]
        gateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=key, keyType="API_KEY")
    gateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=own["id"], keyType="API_KEY")
    assert len(gateway.get_usage_plan_keys(usagePlanId=plan["id"])["items"]) == 25

    copy.deploy()  # API Gateway refuses a key that is in the plan already


# --- accounts with restrictions ---


def test_an_existing_role_is_used_and_none_is_made(copy: ProjectCopy) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/LabRole"
    boto3.client("iam").create_role(RoleName="LabRole", AssumeRolePolicyDocument="{}")

    copy.deploy("--role-arn", role)

    assert {function["Role"] for function in functions().values()} == {role}
    assert [r["RoleName"] for r in boto3.client("iam").list_roles()["Roles"]] == ["LabRole"]


def test_a_new_account_may_not_reserve_executions(copy: ProjectCopy, aws: EmbeddedAWS) -> None:
    aws.account_settings.concurrent_executions = 10

    done = copy.deploy()

    assert "warning: this account has too few concurrent executions" in done.said
    reserved = boto3.client("lambda").get_function_concurrency(
        FunctionName="facial-recognition-prod-index_photograph"
    )
    assert "ReservedConcurrentExecutions" not in reserved


def test_a_second_deploy_keeps_what_the_first_has_reserved(
    copy: ProjectCopy, aws: EmbeddedAWS
) -> None:
    aws.account_settings.concurrent_executions = 105  # 100 stay unreserved

    for _ in range(2):
        done = copy.deploy()
        assert "too few concurrent executions" not in done.said
        reserved = boto3.client("lambda").get_function_concurrency(
            FunctionName="facial-recognition-prod-index_photograph"
        )
        assert reserved["ReservedConcurrentExecutions"] == 5


def test_a_deploy_warns_of_steps_that_are_left_out(copy: ProjectCopy) -> None:
    copy.deploy("--without", "alarms,gateway-responses")

    done = copy.deploy()

    assert "warning: without alarms: nobody hears" in done.said
    assert boto3.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    done = copy.run("deploy", "--without", "everything")
    assert (done.code, done.said) == (1, "")
    assert "everything cannot be left out" in done.error


def make_what_the_old_guide_says() -> None:
    boto3.client("s3").create_bucket(Bucket="facial-recognition-data-bucket")
    boto3.client("rekognition").create_collection(CollectionId="face-collection")
    boto3.client("dynamodb").create_table(
        TableName="face-metadata",
        KeySchema=[{"AttributeName": "faceId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "faceId", "AttributeType": "S"}],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    )


def recovery_of(table: str) -> str:
    """Return the status of a table's point-in-time recovery."""
    found = boto3.client("dynamodb").describe_continuous_backups(TableName=table)
    described = found["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    return described["PointInTimeRecoveryStatus"]


def test_resources_made_by_hand_are_adopted(copy: ProjectCopy) -> None:
    make_what_the_old_guide_says()
    dynamodb = boto3.client("dynamodb")

    done = copy.deploy("--data-stack", "existing")

    assert "warning: the bucket keeps no versions" in done.said
    assert copy.stage().environment["FACES_BUCKET"] == "facial-recognition-data-bucket"
    table = dynamodb.describe_table(TableName="face-metadata")["Table"]
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["personId-index"]
    with pytest.raises(ClientError, match="does not exist"):
        boto3.client("cloudformation").describe_stacks(StackName="facial-recognition-prod-data")
    audit = dynamodb.describe_table(TableName="face-audit")["Table"]
    assert audit["SSEDescription"]["Status"] == "ENABLED"
    assert audit["DeletionProtectionEnabled"] is True
    assert recovery_of("face-audit") == "ENABLED"
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="facial-recognition-failed-events")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert queue["MessageRetentionPeriod"] == str(14 * 24 * 3600)
    copy.deploy()  # the option is kept


def test_a_new_table_is_given_time_until_it_can_be_backed_up(
    copy: ProjectCopy, aws: EmbeddedAWS
) -> None:
    make_what_the_old_guide_says()
    code = "ContinuousBackupsUnavailableException"
    aws.faults.script(
        Fault("UpdateContinuousBackups", "error before", times=2, code=code, status=400)
    )

    copy.deploy("--data-stack", "existing")

    assert aws.faults.met["error before"] == 2
    assert recovery_of("face-audit") == "ENABLED"


def test_a_table_that_a_stopped_deploy_left_without_backups_gets_them(
    copy: ProjectCopy, aws: EmbeddedAWS
) -> None:
    make_what_the_old_guide_says()
    aws.faults.script(
        Fault("UpdateContinuousBackups", "error before", times=0, code="Stop", status=400)
    )
    assert copy.run("deploy", "--data-stack", "existing").code == 1
    assert recovery_of("face-audit") == "DISABLED"
    aws.faults.clear()

    copy.deploy("--data-stack", "existing")

    assert recovery_of("face-audit") == "ENABLED"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([], "There is no bucket facial-recognition-data-bucket"),
        (["bucket"], "There is no table face-metadata"),
        (["bucket", "other table"], "must have the hash key faceId"),
    ],
)
def test_resources_that_cannot_be_adopted_are_named(
    copy: ProjectCopy, made: list[str], message: str
) -> None:
    if "bucket" in made:
        boto3.client("s3").create_bucket(Bucket="facial-recognition-data-bucket")
    if "other table" in made:
        boto3.client("dynamodb").create_table(
            TableName="face-metadata",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    done = copy.run("deploy", "--data-stack", "existing")

    assert done.code == 1
    assert message in done.error
    assert functions() == {}


# --- errors ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--auth", "none"], "OPEN_TO_ALL=yes"),
        (["--auth", "iam", "--without", ""], "With AUTH=iam, add --without pages"),
        (["--auth", "cognito"], "COGNITO_USER_POOL_ARN"),
        (["--auth", "password"], "AUTH"),
        (["--without", "usage-plan"], "API keys do not work without a usage plan"),
        (["--stage", "dev"], "is for the embedded AWS"),
        (["--role-arn", "LabRole"], "an ARN like arn:aws:iam::123456789012:role/LabRole"),
        (["--alarm-email", "me"], "--alarm-email (ALARM_EMAIL) takes an e-mail address"),
        (["--stage", "Not-A-Stage"], "up to 20 small letters and digits"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    copy: ProjectCopy, options: list[str], message: str
) -> None:
    done = copy.run("deploy", *options)

    assert done.code == 1
    assert message in done.error
    assert done.error.count("\n") == 1
    assert functions() == {}


def test_the_local_stage_is_not_undeployed(copy: ProjectCopy) -> None:
    done = copy.run("undeploy", "--stage", "dev")

    assert done.code == 1
    assert "is for the embedded AWS of this machine" in done.error


def test_a_name_that_is_too_long_for_a_bucket_is_refused_before_anything_is_written(
    copy: ProjectCopy,
) -> None:
    files = sorted(copy.folder.rglob("*"))
    before = (copy.folder / ".chalice" / "config.json").read_text()

    done = copy.run("deploy", "--stage", "a" * 17)

    assert done.code == 1
    assert "In us-east-1 it may have 16 characters" in done.error
    assert (copy.folder / ".chalice" / "config.json").read_text() == before
    assert sorted(copy.folder.rglob("*")) == files


def test_a_region_without_rekognition_is_refused(copy: ProjectCopy) -> None:
    done = copy.run("deploy", AWS_DEFAULT_REGION="mx-central-1")

    assert done.code == 1
    assert (
        "There is no Rekognition in mx-central-1. Take one of these regions: ap-northeast-1, "
        in done.error
    )
    assert boto3.client("s3").list_buckets()["Buckets"] == []


@pytest.mark.parametrize(
    ("region", "said", "rate"),
    [
        ("us-east-1", "", None),
        ("eu-west-1", "", None),
        ("eu-central-1", "", "4"),
        ("eu-central-1", "20", "20"),
    ],
)
def test_the_index_rate_keeps_to_the_quota_of_the_region(
    copy: ProjectCopy,
    region: str,
    said: str,
    rate: str | None,
) -> None:
    stage = copy.stage()
    if said:
        stage.environment["INDEX_RATE"] = said

    warned: list[str] = []
    limit_index_rate(stage, region, warned.append)

    assert stage.environment.get("INDEX_RATE") == rate
    assert len(warned) == (rate == "4")
    assert ("in eu-central-1" in "".join(warned)) == (rate == "4")


def test_a_deploy_reports_a_lower_index_rate(copy: ProjectCopy) -> None:
    there: Any = {"AWS_DEFAULT_REGION": "eu-central-1"}

    done = copy.run("deploy", "--data-stack", "existing", **there)

    assert "warning: INDEX_RATE is 4 now" in done.said
    assert "There is no bucket" in done.error  # the deploy stops here


def test_an_open_api_needs_a_confirmation(copy: ProjectCopy) -> None:
    done = copy.deploy("--auth", "none", "--open-to-all")

    assert "warning: AUTH=none" in done.said
    assert boto3.client("apigateway").get_api_keys()["items"] == []


def test_a_failed_stack_says_why(copy: ProjectCopy) -> None:
    boto3.client("cloudwatch").put_metric_alarm(
        AlarmName="facial-recognition-prod-errors",
        MetricName="Errors",
        Namespace="AWS/Lambda",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        Statistic="Sum",
    )

    done = copy.run("deploy")

    assert done.code == 1
    assert "ApiFunctionErrorsAlarm: AWS::CloudWatch::Alarm of this name already exists" in (
        done.error
    )
    boto3.client("s3").head_bucket(Bucket=BUCKET)  # the next deploy continues with it
    boto3.client("cloudwatch").delete_alarms(AlarmNames=["facial-recognition-prod-errors"])
    copy.deploy()


def test_missing_credentials_are_named(copy: ProjectCopy) -> None:
    done = copy.run(
        "deploy",
        AWS_ACCESS_KEY_ID="",
        AWS_SECRET_ACCESS_KEY="",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_SHARED_CREDENTIALS_FILE="/nonexistent",
        AWS_CONFIG_FILE="/nonexistent",
    )

    assert done.code == 1
    assert "There are no AWS credentials" in done.error


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            "An error occurred (AccessDenied) when calling the CreateRole operation: User:"
            " arn:aws:iam::1:user/x is not authorized to perform: iam:CreateRole on resource:"
            " arn:aws:iam::1:role/r because no identity-based policy allows it",
            "You lack the permission iam:CreateRole on arn:aws:iam::1:role/r.",
        ),
        ("User is not authorized to perform: logs:PutRetentionPolicy", "logs:PutRetentionPolicy"),
        ("The bucket is full", ""),
    ],
)
def test_a_missing_permission_is_named(said: str, message: str) -> None:
    assert message in missing_permission(said)
    assert bool(missing_permission(said)) == bool(message)
