"""The Chalice project that is run on the embedded AWS without being deployed to it."""

import os
from collections.abc import Iterator, MutableMapping
from typing import Any

import boto3
from chalice.app import Chalice, S3EventConfig
from chalice.cli.factory import CLIFactory
from chalice.config import Config
from chalice.local import LambdaContext

from chalicelib.settings import Settings
from infra import resources
from localaws.functions import Handler
from localaws.server import ACCOUNT_ID, REGION, EmbeddedAWS, clear_environment


class Project:
    """An application, loaded with the environment of one of its stages."""

    def __init__(self, directory: str, stage: str, environment: dict[str, str]) -> None:
        """Load the application; ``environment`` goes before what the stage's config says.

        Raises:
            RuntimeError: there is no Chalice project, or its ``app.py`` cannot be imported.
        """
        clear_environment()
        os.environ.update(environment)
        factory = CLIFactory(directory, environ=_SetOnlyMissing())
        self.config: Config = factory.create_config_obj(chalice_stage_name=stage)
        self.app: Chalice = self.config.chalice_app

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers of S3 events by the names of their Lambda functions."""
        return {
            self._function_name(source.name): self._handler(source.name) for source in self._s3()
        }

    def notify(self, session: boto3.Session) -> None:
        """Tell the buckets to send their events to the handlers, as a deploy would."""
        s3 = session.client("s3")
        by_bucket: dict[str, list[Any]] = {}
        for source in self._s3():
            rule = {"Name": "prefix", "Value": source.prefix or ""}
            by_bucket.setdefault(source.bucket, []).append(
                {
                    "Id": source.name,
                    "LambdaFunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:"
                    + self._function_name(source.name),
                    "Events": source.events,
                    "Filter": {"Key": {"FilterRules": [rule]}},
                }
            )
        for bucket, functions in by_bucket.items():
            s3.put_bucket_notification_configuration(
                Bucket=bucket,
                NotificationConfiguration={"LambdaFunctionConfigurations": functions},
            )

    def _s3(self) -> list[S3EventConfig]:
        return [s for s in self.app.event_sources if isinstance(s, S3EventConfig)]

    def _function_name(self, handler: str) -> str:
        return f"{self.config.app_name}-{self.config.chalice_stage}-{handler}"

    def _handler(self, name: str) -> Handler:
        run = self.app.handler_map[name]
        config = self.config.scope(self.config.chalice_stage, name)
        timeout = (config.lambda_timeout or 60) * 1000

        def handle(event: dict[str, Any]) -> object:
            context = LambdaContext(self._function_name(name), config.lambda_memory_size, timeout)
            return run(event, context)

        return handle


def install(aws: EmbeddedAWS, directory: str, stage: str = "dev") -> Project:
    """Load a project, make its resources, and let its handlers run on S3's events."""
    project = Project(directory, stage, aws.environment)
    aws.functions.add(project.handlers())
    set_up(project)
    return project


def set_up(project: Project) -> None:
    """Make the project's resources and notifications; may be called again and again."""
    session = boto3.Session()
    resources.ensure(session, Settings.from_environment(os.environ))
    project.notify(session)


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
