"""Deploy a stage to AWS: its data, the application, and the settings that Chalice cannot make.

A deploy may be repeated. It keeps its options in ``.chalice/config.json``, where later deploys read
them, and writes the names of the stage's resources there and into the policy files.
"""

import json
import os
import re

import boto3

from chalicelib.settings import Settings
from facial_recognition.infra import (
    adopt,
    application,
    chalice_cli,
    data,
    options,
    pages,
    policies,
    quotas,
    stacks,
)
from facial_recognition.infra.deployed_resources import DeployedResources
from facial_recognition.infra.errors import DeployError
from facial_recognition.infra.options import OPTIONAL_STEPS, DeployOptions
from facial_recognition.infra.place import bucket_name, locate
from facial_recognition.infra.reporting import Reporter
from facial_recognition.infra.stages import FORGET, StageConfig, UnknownStage

_STAGE_NAME = re.compile(r"[a-z][a-z0-9]{0,19}")


def deploy_stage(name: str, given: DeployOptions, reporter: Reporter) -> str:
    """Deploy a stage; create its configuration if there is no stage of that name.

    Args:
        name: the stage's name.
        given: the options of this deploy.
        reporter: shows the operator how far the deploy has come.

    Returns:
        The API's address.

    Raises:
        DeployError: the operator has to change something first.
        chalicelib.settings.SettingsError: a setting of the stage cannot be used.
        botocore.exceptions.ClientError: AWS refuses a call.
    """
    session = boto3.Session()
    try:
        stage = StageConfig(name)
    except UnknownStage:
        if not _STAGE_NAME.fullmatch(name):
            raise DeployError(
                "The name of a stage has up to 20 small letters and digits, with a letter first."
            ) from None
        # The name is checked before any file of the new stage is written.
        bucket_name(StageConfig("prod").api_name, name, locate(session))
        stage = StageConfig.create(name)
    options.apply(given, stage)
    return Deploy(session, stage, reporter).run()


class Deploy:
    """One deploy of one stage."""

    def __init__(self, session: boto3.Session, stage: StageConfig, reporter: Reporter) -> None:
        """Prepare the deploy.

        Args:
            session: of the account and region.
            stage: the stage, with the options of this deploy.
            reporter: shows the operator how far the deploy has come.
        """
        self._session = session
        self._stage = stage
        self._step = reporter.step
        self._report = reporter.report
        self._warned: set[str] = set()

    def run(self) -> str:
        """Deploy the stage and return the API's address.

        Raises:
            DeployError: the operator has to change something first.
            botocore.exceptions.ClientError: AWS refuses a call.
        """
        self._place = locate(self._session)
        self._report(
            f"stage {self._stage.name}: account {self._place.account}, {self._place.region}"
        )
        quotas.limit_index_rate(self._stage, self._place.region, self._report)
        queue_arn = self._deploy_data()
        self._update_configuration()
        api_id, url = self._deploy_application()
        # Before the pages, so that an account that cannot have pages gets its API key all the same.
        self._configure_application(api_id, queue_arn)
        if not self._is_left_out("pages"):
            pages_url = self._deploy_pages(url)
            if self._set_cors_origin(pages_url):  # the bucket and the API need the new origin
                self._deploy_data()
                self._update_configuration()
                self._deploy_application()
                self._set_gateway_responses(api_id)
        return self._address(api_id, url)

    def _settings(self) -> Settings:
        return Settings.from_environment(self._stage.environment)

    def _deploy_data(self) -> str:
        """Make or adopt the data resources, and set their names in the stage's environment.

        Returns:
            The ARN of the queue for failed events.
        """
        self._step("data")
        environment = self._stage.environment
        kept = self._stage.deploy_options
        if kept.get("data_stack") == "existing":
            return adopt.adopt(self._session, self._settings(), self._report)
        default = Settings.from_environment({}).faces_bucket
        if environment.get("FACES_BUCKET", default) in (default, f"{default}-{self._stage.name}"):
            environment["FACES_BUCKET"] = bucket_name(
                self._stage.api_name, self._stage.name, self._place
            )
        given = data.parameters(
            self._settings(),
            self._stage.application,
            self._stage.config.get("api_gateway_stage", "api"),
            alarms=not self._is_left_out("alarms"),
            alarm_email=kept.get("alarm_email", ""),
        )
        stack = data.stack_name(self._stage.application)
        made, is_new = data.deploy(self._session, stack, given, self._report)
        if is_new:
            self._report(
                "  S3 may not find new objects in the first quarter of an hour of a new bucket."
                f" faces check --repair --stage {self._stage.name} then indexes missed photographs."
            )
        environment["FACES_BUCKET"] = made["BucketName"]
        environment["FACES_TABLE"] = made["TableName"]
        environment["FACES_AUDIT_TABLE"] = made["AuditTableName"]
        environment["FACES_COLLECTION"] = made["CollectionId"]
        environment["FAILED_EVENTS_QUEUE"] = made["FailedEventsQueue"]
        return made["FailedEventsArn"]

    def _update_configuration(self) -> None:
        """Write the names of the resources into the configuration and the policy files."""
        stage = self._stage
        self._reserve_concurrency()
        stage.save()
        settings = self._settings()
        names = policies.ResourceNames(settings, self._place.account, self._place.region)
        for function, file in stage.policy_files().items():
            policy = json.loads(file.read_text())
            policy = policies.with_names_of(policy, names, stage.function_name(function))
            deletes = not settings.keep_photographs and function != FORGET
            policy = policies.allow_deleting_photographs(policy, names, wanted=deletes)
            policy = policies.allow_tracing(policy, wanted=stage.config.get("xray", False))
            file.write_text(json.dumps(policy, indent=2) + "\n")

    def _reserve_concurrency(self) -> None:
        """Reserve as many executions for indexing as stay within the quota of IndexFaces."""
        handler = self._stage.config["lambda_functions"]["index_photograph"]
        handler.pop("reserved_concurrency", None)
        if self._is_left_out("concurrency"):
            return
        concurrency = quotas.concurrency_for(self._settings().index_rate)
        function = self._stage.function_name("index_photograph")
        if quotas.may_reserve(self._session, function, concurrency):
            handler["reserved_concurrency"] = concurrency
        else:
            self._report(
                "  warning: this account has too few concurrent executions to reserve"
                f" {concurrency}: {OPTIONAL_STEPS['concurrency']}. Ask Service Quotas for more."
            )

    def _deploy_application(self) -> tuple[str, str]:
        """Run ``chalice deploy``.

        Returns:
            The id of the REST API and its address.
        """
        self._step("application")
        resources = DeployedResources(self._session, self._stage)
        chalice_cli.deploy(self._stage.name, resources, self._report)
        resources.store()
        api = resources.rest_api()
        assert api is not None, "a deploy makes an API"
        return api["rest_api_id"], api["rest_api_url"]

    def _configure_application(self, api_id: str, queue_arn: str) -> None:
        """Make the settings that Chalice cannot make."""
        self._step("around the application")
        auth = self._settings().auth
        application.keep_failed_events(self._session, self._stage, queue_arn)
        self._report("failed events go to their queue")
        application.set_log_retention(self._session, self._stage)
        self._report(f"logs are kept for {application.LOG_DAYS} days")
        self._set_gateway_responses(api_id)
        if auth == "api-key":
            self._ensure_api_key(api_id)
        if auth == "none":
            self._report("  warning: AUTH=none: anybody with the address may register and verify")

    def _set_gateway_responses(self, api_id: str) -> None:
        """Set API Gateway's own error answers, which each ``chalice deploy`` resets."""
        if self._is_left_out("gateway-responses"):
            return
        origin = self._settings().cors_origin
        application.answer_with_problems(self._session, self._stage, api_id, origin)
        self._report("API Gateway answers errors with problem details")

    def _ensure_api_key(self, api_id: str) -> None:
        key = application.ensure_api_key(self._session, self._stage, api_id)
        self._report("the API key, which callers send as x-api-key:")
        show = f"aws apigateway get-api-key --api-key {key} --include-value --query value"
        self._report(f"  {show} --output text")

    def _deploy_pages(self, api_url: str) -> str:
        """Deploy bucket and distribution, publish the pages there, and return their address."""
        self._step("pages")
        settings = self._settings()
        auth = settings.auth
        assert auth != "iam", "the options refuse pages with AUTH=iam"
        config = pages.PagesConfig(api_url, auth, self._place.region)
        self._report("the first time, CloudFront takes some minutes")
        try:
            made, _ = stacks.deploy(
                self._session,
                pages.stack_name(self._stage.application),
                pages.TEMPLATE.read_text(),
                {"ApiOrigin": config.api_origin, "PhotographBucket": settings.faces_bucket},
                self._report,
            )
        except stacks.StackFailed as error:
            raise DeployError(
                f"{error}. Everything but the pages is deployed. If this account cannot have"
                " pages, add --without pages (WITHOUT=pages)."
            ) from None
        pages.publish(self._session, made["BucketName"], made["DistributionId"], config)
        self._report(f"published: {made['PagesUrl']}")
        return made["PagesUrl"]

    def _set_cors_origin(self, origin: str) -> bool:
        """Allow the pages to call the API, unless the operator named other pages.

        Returns:
            Whether the configuration changed.
        """
        environment, kept = self._stage.environment, self._stage.deploy_options
        if kept.get("cors_origin") or environment.get("CORS_ORIGIN") == origin:
            return False
        environment["CORS_ORIGIN"] = origin
        return True

    def _address(self, api_id: str, url: str) -> str:
        """Return the API's address; the embedded AWS serves the API below its own address."""
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        if not endpoint:
            return url
        gateway_stage = self._stage.config["api_gateway_stage"]
        return f"{endpoint.rstrip('/')}/restapis/{api_id}/{gateway_stage}/_user_request_/"

    def _is_left_out(self, step: str) -> bool:
        """Return whether the operator leaves a step out; warn of it the first time."""
        left_out = step in self._stage.deploy_options.get("without", [])
        if left_out and step not in self._warned:
            self._warned.add(step)
            self._report(f"  warning: without {step}: {OPTIONAL_STEPS[step]}")
        return left_out
