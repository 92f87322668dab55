"""The Chalice project, run on the embedded AWS without a deploy."""

import json
import os
from collections.abc import Iterator, MutableMapping
from typing import Any

import boto3
import botocore.session
from chalice.app import Chalice, Rate, S3EventConfig, ScheduledEventConfig
from chalice.cli.factory import CLIFactory
from chalice.config import Config

from chalicelib.settings import Settings
from facial_recognition.infra import data
from facial_recognition.infra.stages import CREDENTIALS
from facial_recognition.local.workers import APP, Invocation, Workers
from localaws.account import ACCOUNT_ID, REGION, arn
from localaws.server import EmbeddedAWS, clear_environment
from localaws.services.cloudformation import Template, create_resources
from localaws.services.lambda_.event_queue import CONCURRENCY, Event
from localaws.services.lambda_.functions import Handler


class Project:
    """An application, loaded with the environment of one of its stages.

    Args:
        directory: the folder of the project.
        stage: a stage in ``.chalice/config.json``.
        environment: variables that override those of the stage.

    Raises:
        RuntimeError: the folder holds no Chalice project, the stage does not exist, or ``app.py``
            cannot be imported.
    """

    def __init__(self, directory: str, stage: str, environment: dict[str, str]) -> None:
        clear_environment()
        os.environ.update({**environment, "AWS_SDK_UA_APP_ID": "api"})
        factory = CLIFactory(directory, environ=_SetOnlyMissing())
        self.config: Config = factory.create_config_obj(chalice_stage_name=stage)
        stages = factory.load_project_config().get("stages", {stage: {}})
        if stage not in stages:  # Chalice would take it for a stage without settings
            raise RuntimeError(f"There is no stage {stage}; there are {', '.join(stages)}.")
        self.app: Chalice = self.config.chalice_app
        # Not the session "api": it creates resources, which the API may not.
        self.session = _session("project")
        # One more than for events, so that an API call need not wait for all of them.
        self.workers = Workers(directory, os.environ, size=CONCURRENCY + 1)
        self._s3 = [s for s in self.app.event_sources if isinstance(s, S3EventConfig)]
        self._scheduled = [s for s in self.app.event_sources if isinstance(s, ScheduledEventConfig)]

    def functions(self) -> dict[str, Handler]:
        """Return handlers for the project's Lambda functions, by the functions' names."""
        names = [APP, *(source.name for source in (*self._s3, *self._scheduled))]
        return {self.function_name(name): self._function(name) for name in names}

    def subscribe(self) -> None:
        """Let S3 notify the project's functions, as a deploy does."""
        s3 = self.session.client("s3")
        by_bucket: dict[str, list[Any]] = {}
        for source in self._s3:
            rule = {"Name": "prefix", "Value": source.prefix or ""}
            by_bucket.setdefault(source.bucket, []).append(
                {
                    "Id": source.name,
                    "LambdaFunctionArn": self._function_arn(source.name),
                    "Events": source.events,
                    "Filter": {"Key": {"FilterRules": [rule]}},
                }
            )
        for bucket, functions in by_bucket.items():
            s3.put_bucket_notification_configuration(
                Bucket=bucket,
                NotificationConfiguration={"LambdaFunctionConfigurations": functions},
            )

    def schedule(self) -> None:
        """Let EventBridge run the project's scheduled functions, as a deploy does."""
        events = self.session.client("events")
        for source in self._scheduled:
            name = self.function_name(source.name)
            rate = source.schedule_expression
            assert isinstance(rate, Rate)
            target = {"Id": "1", "Arn": self._function_arn(source.name)}
            events.put_rule(Name=name, ScheduleExpression=rate.to_string())
            events.put_targets(Rule=name, Targets=[target])

    def function_name(self, handler: str) -> str:
        """Return the name that Chalice gives to the function of a handler."""
        name = f"{self.config.app_name}-{self.config.chalice_stage}"
        return name if handler == APP else f"{name}-{handler}"

    def _function_arn(self, handler: str) -> str:
        return arn("lambda", f"function:{self.function_name(handler)}")

    def _function(self, handler: str) -> Handler:
        config = self.config.scope(self.config.chalice_stage, handler)
        timeout = float(config.lambda_timeout or 60)  # Chalice's own default
        name = self.function_name(handler)

        def run(event: Event, request_id: str) -> object:
            invocation = Invocation(handler, name, json.dumps(event), request_id, timeout)
            return self.workers.run(invocation)

        return run


def install(aws: EmbeddedAWS, directory: str, stage: str = "dev") -> Project:
    """Load a project, create its resources, and let its functions handle events.

    Args:
        aws: runs the functions.
        directory: the folder of the project.
        stage: a stage of the project.

    Raises:
        RuntimeError: the project or the stage does not exist, or ``app.py`` cannot be imported.
    """
    project = Project(directory, stage, aws.environment)
    aws.attach(project.workers)
    aws.functions.add(project.functions(), on_failure=FailedEvents())
    set_up(project)
    return project


def set_up(project: Project) -> None:
    """Create the project's resources, notifications and schedules. Repeated calls do no harm."""
    settings = Settings.from_environment(os.environ)
    make_data(project.session, settings, project.config.app_name, project.config.chalice_stage)
    project.subscribe()
    project.schedule()


def make_data(session: boto3.Session, settings: Settings, app_name: str, stage: str) -> None:
    """Create the data resources of a stage from their template, without a stack.

    Args:
        session: calls the services.
        settings: hold the names of the resources.
        app_name: Chalice's name of the application.
        stage: Chalice's name of the stage.
    """
    given = data.parameters(settings, f"{app_name}-{stage}", stage, alarms=False)
    pseudo = {"AWS::AccountId": ACCOUNT_ID, "AWS::Region": REGION}
    create_resources(session, Template(data.TEMPLATE.read_text(), given, pseudo))


class FailedEvents:
    """Sends the records of failed invocations to the queue of failed events."""

    def __init__(self) -> None:
        self._sqs = _session("lambda").client("sqs")
        self._queue = Settings.from_environment(os.environ).failed_events_queue

    def __call__(self, record: Event) -> None:
        """Send a record."""
        url = self._sqs.get_queue_url(QueueName=self._queue)["QueueUrl"]
        self._sqs.send_message(QueueUrl=url, MessageBody=json.dumps(record))


def _session(app_id: str) -> boto3.Session:
    """Return a session with an application id of its own, which differs from the process's."""
    session = botocore.session.Session()
    session.set_config_variable("user_agent_appid", app_id)
    return boto3.Session(botocore_session=session)


class _SetOnlyMissing(MutableMapping[str, str]):
    """The environment of the process, in which Chalice cannot change variables that are set.

    So the address and the access key of the embedded AWS override the stage's configuration.
    """

    def __getitem__(self, name: str) -> str:
        return os.environ[name]

    def __setitem__(self, name: str, value: str) -> None:
        if name not in CREDENTIALS:  # the process has the key itself, and needs no file
            os.environ.setdefault(name, value)

    def __delitem__(self, name: str) -> None:
        del os.environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)
