"""The embedded AWS: one WSGI application, a chain of layers above moto, on one port."""

import logging
import os
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Protocol

import boto3
import botocore.session
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
)

from localaws import moto_patches
from localaws.account import REGION
from localaws.credentials import AccessKey
from localaws.data_folder import REKOGNITION, SERVICES, DataFolder
from localaws.guard import Guard
from localaws.middleware.bodies import check_body
from localaws.middleware.control import Control
from localaws.middleware.failures import answer_failures, create_raising_app
from localaws.middleware.faults import Faults
from localaws.middleware.permissions import Permissions
from localaws.middleware.persistence import Persistence
from localaws.middleware.signatures import Signatures, hide_motos_own_paths
from localaws.ports import HOST, QuietRequestHandler, Server, listen
from localaws.rekognition import RekognitionApp
from localaws.services.apigateway.imports import import_rest_api
from localaws.services.apigateway.rest_apis import RestApis
from localaws.services.apigateway.usage_plans import answer_in_pages
from localaws.services.cloudformation.stacks import CloudFormation
from localaws.services.dynamodb.transactions import AtomicDynamoDB
from localaws.services.events.schedules import Schedules
from localaws.services.iam.identities import Identities
from localaws.services.lambda_.account_settings import AccountSettings
from localaws.services.lambda_.deployed import DeployedFunctions
from localaws.services.lambda_.event_queue import RETRY_DELAYS, Disorder, Event
from localaws.services.lambda_.functions import Functions
from localaws.services.lambda_.invocations import Invocations
from localaws.services.rekognition.layer import RekognitionRequests, read_object
from localaws.services.s3.cors import answer_pages
from localaws.services.s3.notification_filters import lower_filter_names
from localaws.services.s3.notifications import S3Notifications
from localaws.services.s3.post_policy import PostPolicies
from localaws.wsgi import Layer, chain

logger = logging.getLogger(__name__)


class FunctionProcesses(Protocol):
    """Processes of the embedding program, in which its functions run."""

    def kill(self, name: str) -> bool:
        """Kill the process whose SDK has this application id; return whether there was one."""
        ...

    def stop(self) -> None:
        """End all processes."""
        ...


class EmbeddedAWS:
    """Rekognition by our own implementation, and moto's services behind layers of ours.

    Example::

        with EmbeddedAWS() as aws:
            s3 = boto3.client("s3", endpoint_url=aws.url, ...)

    Args:
        port: of 127.0.0.1; 0 picks a free one.
        retry_delays: seconds before the second and third attempt to handle an event.
        data: the folder for all data; None keeps the data in memory.
        fresh: delete the data in the folder first.
        open_to_all: answer requests without a valid signature, and those of any web page.

    Raises:
        localaws.ports.PortUnusable: the server cannot listen on the port.
        localaws.rekognition.ModelUnavailable: the face models are not installed.
        localaws.errors.DataUnusable: another process uses the data, or it is damaged.
    """

    def __init__(
        self,
        port: int = 0,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
        *,
        data: str | None = None,
        fresh: bool = False,
        open_to_all: bool = False,
    ) -> None:
        with ExitStack() as opened:
            folder = _opened(data, opened, fresh=fresh) if data else None
            if folder is not None:
                folder.check_partners()
            self.access_key = folder.access_key() if folder else AccessKey.new()
            self._identities = Identities(self.access_key)
            self._open_to_all = open_to_all
            self.rekognition = RekognitionApp(
                read_object, path=folder.path / REKOGNITION if folder else None
            )
            opened.callback(self.rekognition.close)
            self.rekognition.warm_up()
            listening = opened.enter_context(listen(port))
            self._port: int = listening.getsockname()[1]
            opened.enter_context(moto_patches.applied())
            self._persistence: Persistence | None = None
            if folder is not None:
                self._persistence = Persistence(folder.path / SERVICES)
                opened.callback(self._persistence.close)
            self.deployed = DeployedFunctions(self.url)
            self.functions = Functions(
                self.deployed,
                retry_delays=retry_delays,
                kept_events=self._persistence.events if self._persistence else None,
            )
            self._processes: list[FunctionProcesses] = []
            self._schedules = Schedules(partial(self._notify, "events.amazonaws.com"))
            self.faults = Faults(self._kill)
            self.permissions = Permissions(self._identities)
            self.account_settings = AccountSettings()
            self.stacks = CloudFormation(_OwnSession(self.url, self.access_key))
            moto = DomainDispatcherApplication(create_raising_app)
            app = chain(self._layers(), moto)
            self._server = Server(listening, app, "localaws", _RequestHandler)
            if open_to_all:
                self.guard.open()
            self._resources = opened.pop_all()

    def _layers(self) -> list[Layer]:
        """Return the layers above moto, in the order in which a request goes through them."""
        identities = self._identities
        return [
            hide_motos_own_paths,
            answer_pages,
            *([] if self._open_to_all else [Signatures(identities)]),
            check_body,
            Control(
                self.faults, self.functions, self.permissions, identities, self.rekognition.lag
            ),
            self.faults,
            RestApis(self.deployed, identities),
            self.permissions,
            RekognitionRequests(self.rekognition),
            Invocations(self.functions),
            PostPolicies(identities.secret_of, identities.token_of),
            answer_failures,
            self.account_settings,
            self.stacks,
            lower_filter_names,
            import_rest_api,
            answer_in_pages,
            *([self._persistence] if self._persistence else []),
            S3Notifications(self._notify_of_bucket),
            AtomicDynamoDB(),
            answer_failures,
        ]

    @property
    def url(self) -> str:
        """The endpoint for every service."""
        return f"http://{HOST}:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that lead boto3, the AWS CLI and any other SDK here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            **self.access_key.environment,
            "AWS_DEFAULT_REGION": REGION,
        }

    @property
    def guard(self) -> Guard:
        """Decides which web pages may use the port: at first, none."""
        return self._server.guard

    def attach(self, processes: FunctionProcesses) -> None:
        """Let scripted crashes kill these processes, and end them when the server stops."""
        self._processes.append(processes)

    def start(self) -> None:
        """Begin to answer requests."""
        self._server.start()
        self._schedules.start()

    def stop(self) -> None:
        """Finish the running functions, stop answering requests, and close the data."""
        self.faults.clear()
        self._schedules.stop()
        self.deployed.close()
        self.functions.stop()
        for processes in self._processes:
            processes.stop()
        self._server.stop()
        self._resources.close()

    def reset(self) -> None:
        """Delete everything in every service, and remove all faults."""
        self.faults.clear()
        self.functions.disorder = Disorder()
        self.functions.drain()
        self.deployed.stop()
        BackendDict.reset()
        reset_model_data()
        if self._persistence is not None:
            self._persistence.clear()
        self.rekognition.reset()
        self.stacks.clear()

    def _notify_of_bucket(self, function: str, event: Event) -> None:
        bucket = event["Records"][0]["s3"]["bucket"]["arn"]
        self._notify("s3.amazonaws.com", function, bucket, event)

    def _notify(self, service: str, function: str, source_arn: str, event: Event) -> None:
        """Deliver an event of a service to a function, if the function's policy allows it."""
        if function in self.deployed and not self.deployed.may_invoke(
            function, service, source_arn
        ):
            logger.warning("%s may not invoke %s: its event is dropped", source_arn, function)
            return
        self.functions.notify(function, event)

    def _kill(self, caller: str) -> bool:
        return any(processes.kill(caller) for processes in self._processes)

    def __enter__(self) -> "EmbeddedAWS":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _opened(data: str, opened: ExitStack, *, fresh: bool) -> DataFolder:
    folder = DataFolder(data, fresh=fresh)
    opened.callback(folder.close)
    return folder


class _OwnSession(boto3.Session):
    """A session whose clients call this server, in any environment of the process."""

    def __init__(self, url: str, key: AccessKey) -> None:
        session = botocore.session.Session()
        session.set_config_variable("user_agent_appid", "cloudformation")
        super().__init__(
            key.access_key_id,
            key.secret_access_key,
            region_name=REGION,
            botocore_session=session,
        )
        self._url = url

    def client(self, *arguments: Any, **options: Any) -> Any:
        return super().client(*arguments, **{"endpoint_url": self._url, **options})


class _RequestHandler(QuietRequestHandler, MotoRequestHandler):
    """Keeps the names of S3's metadata as moto wants them."""


def clear_environment() -> None:
    """Remove all variables of AWS from the environment, so that no code reaches the real AWS."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            del os.environ[name]
