"""The Chalice project that is run on the embedded AWS without being deployed to it."""

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
from facial_recognition.local.workers import APP, Call, Workers
from localaws.account import ACCOUNT_ID, REGION
from localaws.server import EmbeddedAWS, clear_environment
from localaws.services.cloudformation import Template, make
from localaws.services.lambda_.asynchronous import CONCURRENCY, Event, Handler, function_arn


class Project:
    """An application, loaded with the environment of one of its stages."""

    def __init__(self, directory: str, stage: str, environment: dict[str, str]) -> None:
        """Load the application; ``environment`` goes before what the stage's config says.

        Raises:
            RuntimeError: there is no Chalice project, or no such stage, or its ``app.py`` cannot be
                imported.
        """
        clear_environment()
        os.environ.update({**environment, "AWS_SDK_UA_APP_ID": "api"})
        self.directory = directory
        factory = CLIFactory(directory, environ=_SetOnlyMissing())
        self.config: Config = factory.create_config_obj(chalice_stage_name=stage)
        stages = factory.load_project_config().get("stages", {stage: {}})
        if stage not in stages:  # which Chalice takes for one without settings
            raise RuntimeError(f"There is no stage {stage}; there are {', '.join(stages)}.")
        self.app: Chalice = self.config.chalice_app
        self.session = _session("project")  # not "api": it makes what that only uses
        self._s3 = [s for s in self.app.event_sources if isinstance(s, S3EventConfig)]
        self._scheduled = [s for s in self.app.event_sources if isinstance(s, ScheduledEventConfig)]

    def functions(self, workers: Workers) -> dict[str, Handler]:
        """Return the project's Lambda functions by their names, to be run in workers."""
        names = [APP, *(source.name for source in (*self._s3, *self._scheduled))]
        return {self.function_name(name): self._function(name, workers) for name in names}

    def notify(self) -> None:
        """Tell the buckets to send their events to the handlers, as a deploy would."""
        s3 = self.session.client("s3")
        by_bucket: dict[str, list[Any]] = {}
        for source in self._s3:
            rule = {"Name": "prefix", "Value": source.prefix or ""}
            by_bucket.setdefault(source.bucket, []).append(
                {
                    "Id": source.name,
                    "LambdaFunctionArn": function_arn(self.function_name(source.name)),
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
        """Let functions run regularly, as a deploy would."""
        events = self.session.client("events")
        for source in self._scheduled:
            name = self.function_name(source.name)
            rate = source.schedule_expression
            assert isinstance(rate, Rate)
            events.put_rule(Name=name, ScheduleExpression=rate.to_string())
            events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": function_arn(name)}])

    def function_name(self, handler: str) -> str:
        """Return the name that Chalice gives to the function of a handler."""
        name = f"{self.config.app_name}-{self.config.chalice_stage}"
        return name if handler == APP else f"{name}-{handler}"

    def _function(self, handler: str, workers: Workers) -> Handler:
        config = self.config.scope(self.config.chalice_stage, handler)
        timeout = float(config.lambda_timeout or 60)  # Chalice's own default
        name = self.function_name(handler)

        def run(event: Event, request_id: str) -> object:
            return workers.run(Call(handler, name, json.dumps(event), request_id, timeout))

        return run


def install(aws: EmbeddedAWS, directory: str, stage: str = "dev") -> Project:
    """Load a project, make its resources, and let its handlers run on S3's events."""
    project = Project(directory, stage, aws.environment)
    # One more than for events, so that an API call has not to wait for all of them.
    aws.workers = Workers(directory, os.environ, size=CONCURRENCY + 1)
    aws.functions.add(project.functions(aws.workers))
    aws.functions.on_failure = FailedEvents()
    set_up(project)
    return project


def set_up(project: Project) -> None:
    """Make the project's resources, notifications and schedules; may be called again and again."""
    settings = Settings.from_environment(os.environ)
    make_data(project.session, settings, project.config.app_name, project.config.chalice_stage)
    project.notify()
    project.schedule()


def make_data(session: boto3.Session, settings: Settings, app_name: str, stage: str) -> None:
    """Make the data resources of a stage as their template says, without a stack of them."""
    given = data.parameters(settings, f"{app_name}-{stage}", stage, alarms=False)
    pseudo = {"AWS::AccountId": ACCOUNT_ID, "AWS::Region": REGION}
    make(session, Template(data.TEMPLATE.read_text(), given, pseudo))


class FailedEvents:
    """Puts records of failed invocations into the queue that is their destination."""

    def __init__(self) -> None:
        """Make the client once."""
        self._sqs = _session("lambda").client("sqs")
        self._queue = Settings.from_environment(os.environ).failed_events_queue

    def __call__(self, record: Event) -> None:
        """Send one record."""
        url = self._sqs.get_queue_url(QueueName=self._queue)["QueueUrl"]
        self._sqs.send_message(QueueUrl=url, MessageBody=json.dumps(record))


def _session(app_id: str) -> boto3.Session:
    """Return a session that tells the application id apart from that of the process."""
    session = botocore.session.Session()
    session.set_config_variable("user_agent_appid", app_id)
    return boto3.Session(botocore_session=session)


class _SetOnlyMissing(MutableMapping[str, str]):
    """The process's environment, in which what is set stays: a port goes before the config."""

    def __getitem__(self, name: str) -> str:
        return os.environ[name]

    def __setitem__(self, name: str, value: str) -> None:
        os.environ.setdefault(name, value)

    def __delitem__(self, name: str) -> None:
        del os.environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)
