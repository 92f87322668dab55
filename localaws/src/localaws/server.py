"""The embedded AWS as one WSGI application on one port."""

import logging
import os
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import moto.backends
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.s3.models import FakeKey

from facial_recognition.local.workers import Workers
from localaws.account import ACCESS_KEY_ID, ACCOUNT_ID, REGION, SECRET_ACCESS_KEY
from localaws.database import DataFolder
from localaws.middleware.control import Control
from localaws.middleware.faults import Faults
from localaws.middleware.permissions.gate import Permissions
from localaws.middleware.persistence import Persistence
from localaws.moto_patches import let_go
from localaws.ports import HOST, Server, listen
from localaws.rekognition import RekognitionApp
from localaws.services.apigateway import Authorization, RestApis
from localaws.services.cloudformation import CloudFormation
from localaws.services.dynamodb.atomicity import AtomicDynamoDB
from localaws.services.events.schedules import Schedules
from localaws.services.iam.identities import secret_of, token_of
from localaws.services.lambda_ import DeployedFunctions
from localaws.services.lambda_.account_settings import AccountSettings
from localaws.services.lambda_.asynchronous import RETRY_DELAYS, Disorder, Event, Functions
from localaws.services.lambda_.invocations import Invocations
from localaws.services.s3.notifications import S3Events
from localaws.services.s3.post_policy import PostPolicies
from localaws.wire import WireDifferences

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)


class EmbeddedAWS:
    """S3, DynamoDB, IAM, STS, Lambda and API Gateway by moto; Rekognition by ourselves.

    Example::

        with EmbeddedAWS() as aws:
            s3 = boto3.client("s3", endpoint_url=aws.url, ...)
    """

    def __init__(
        self,
        port: int = 0,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
        *,
        data: str | None = None,
        fresh: bool = False,
    ) -> None:
        """Listen on a port of 127.0.0.1; 0 takes a free one.

        Args:
            port: the port.
            retry_delays: seconds between the tries to run a function.
            data: the folder in which everything is kept; None keeps nothing beyond the process.
            fresh: forget what is kept there.

        Raises:
            localaws.ports.PortUnusable: another program listens there, say.
            localaws.rekognition.ModelUnavailable: the face models are not installed.
            localaws.database.DataUnusable: another process uses the data, or it is damaged.
        """
        self._kept = ExitStack()
        """What is to be closed at the end."""
        folder = self._open(data, fresh=fresh) if data else None
        self.rekognition = RekognitionApp(read_object, path=folder and folder / "rekognition.db")
        self._kept.callback(self.rekognition.close)
        self.rekognition.warm_up()
        listening = listen(port)
        self._port = listening.getsockname()[1]
        self.functions = Functions(retry_delays=retry_delays)
        self.deployed = self.functions.deployed = DeployedFunctions(self.url)
        self.workers: Workers | None = None
        """The processes in which functions run, if there are any."""
        let_go()
        app: WSGIApplication = AtomicDynamoDB(DomainDispatcherApplication(create_backend_app))
        self._persistence: Persistence | None = None
        if folder is not None:
            app = self._persistence = Persistence(app, folder / "services.db", ACCOUNT_ID)
            self._kept.callback(self._persistence.close)
            self.functions.kept_events = self._persistence.events
        self._stacks = CloudFormation(WireDifferences(app), _Session(self.url), ACCOUNT_ID)
        self.account_settings = AccountSettings(self._stacks, ACCOUNT_ID)
        app = S3Events(self.account_settings, self._notify_of_bucket)
        self._schedules = Schedules(partial(self._notify, "events.amazonaws.com"))
        app = Invocations(PostPolicies(app, secret_of, token_of), self.functions)
        self.permissions = Permissions(_Services(self.rekognition, app))
        app = RestApis(self.permissions, self.deployed, Authorization())
        self.faults = Faults(app, self._kill_worker)
        app = Control(self.faults, self.faults, self.functions, self.permissions)
        self._server = Server(listening, app, "localaws", _RequestHandler)

    def _open(self, data: str, *, fresh: bool) -> Path:
        folder = DataFolder(data, fresh=fresh)
        self._kept.callback(folder.close)
        return folder.path

    @property
    def url(self) -> str:
        """The endpoint for every service."""
        return f"http://{HOST}:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which boto3, the AWS CLI and any SDK come here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_DEFAULT_REGION": REGION,
        }

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()
        self._schedules.start()

    def stop(self) -> None:
        """Finish running functions, and answer no more."""
        self.faults.clear()
        self._schedules.stop()
        self.deployed.close()
        self.functions.stop()
        if self.workers is not None:
            self.workers.stop()
        self._server.stop()
        self._kept.close()

    def reset(self) -> None:
        """Forget everything that is stored in any service, and behave well."""
        self.faults.clear()
        self.functions.disorder = Disorder()
        self.functions.drain()
        self.deployed.stop()
        BackendDict.reset()
        reset_model_data()
        if self._persistence is not None:
            self._persistence.clear()
        self.rekognition.reset()
        self._stacks.clear()

    def _notify_of_bucket(self, function: str, event: Event) -> None:
        bucket = event["Records"][0]["s3"]["bucket"]["arn"]
        self._notify("s3.amazonaws.com", function, bucket, event)

    def _notify(self, service: str, function: str, source_arn: str, event: Event) -> None:
        """Bring an event of a service to a function, if the function's policy allows that."""
        if function in self.deployed and not self.deployed.may_invoke(
            function, service, source_arn
        ):
            logger.warning("%s may not invoke %s: its event is dropped", source_arn, function)
            return
        self.functions.notify(function, event)

    def _kill_worker(self, name: str) -> bool:
        return self.workers is not None and self.workers.kill(name)

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


class _Session(boto3.Session):
    """A session whose clients come here, whatever the process's environment says."""

    def __init__(self, url: str) -> None:
        session = botocore.session.Session()
        session.set_config_variable("user_agent_appid", "cloudformation")
        super().__init__(
            ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name=REGION, botocore_session=session
        )
        self._url = url

    def client(self, *arguments: Any, **options: Any) -> Any:
        return super().client(*arguments, **{"endpoint_url": self._url, **options})


def read_object(bucket: str, key: str, version_id: str | None) -> bytes:
    """Read an object as Rekognition does, which stands beside S3.

    Raises:
        LookupError: there is no such object.
    """
    s3 = moto.backends.get_backend("s3")[ACCOUNT_ID]["aws"]
    try:
        found = s3.get_object(bucket, key, version_id=version_id)
    except Exception as error:  # moto's own exceptions for a missing bucket or a delete marker
        raise LookupError(key) from error
    if not isinstance(found, FakeKey):
        raise LookupError(key)
    return bytes(found.value)


class _Services:
    """Sends Rekognition's requests to our own implementation, all others to moto."""

    def __init__(self, rekognition: RekognitionApp, others: "WSGIApplication") -> None:
        self._rekognition = rekognition
        self._others = others

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if target.startswith("RekognitionService."):
            return self._rekognition(environ, start_response)
        return self._others(environ, start_response)


class _RequestHandler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"  # SDKs keep their connections

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep quiet: who wants to see requests looks at the client."""


def clear_environment() -> None:
    """Forget what the shell says of the real AWS, so that nothing local can reach it."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            del os.environ[name]
