"""Deployed functions: moto holds their code and configuration, and here they run."""

import hashlib
import io
import json
import shutil
import tempfile
import threading
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import moto.backends
from moto.awslambda.models import LambdaFunction

from localaws.account import ACCOUNT_ID, REGION
from localaws.services.iam.policies import Context, Policy
from localaws.services.lambda_ import runtime
from localaws.services.lambda_.errors import ServerStopping, TooManyRequests
from localaws.services.lambda_.event_queue import (
    MAXIMUM_EVENT_AGE,
    MAXIMUM_RETRY_ATTEMPTS,
    EventInvokeConfig,
)
from localaws.services.lambda_.execution_environment import (
    ExecutionEnvironment,
    FunctionConfiguration,
)
from localaws.services.lambda_.logs import LogWriter
from localaws.services.lambda_.role_sessions import RoleSessions


class DeployedFunctions:
    """Runs deployed functions in execution environments, which start when they are needed.

    Args:
        url: the address of the embedded AWS.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._sessions = RoleSessions(url)
        self.logs = LogWriter(self._sessions)
        self._folder: Path | None = None
        self._idle: dict[str, list[ExecutionEnvironment]] = defaultdict(list)
        self._busy: dict[str, list[ExecutionEnvironment | None]] = defaultdict(list)
        """The environments with an event; None for an environment that is being started."""
        self._closed = False
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        """Return whether a function of this name is deployed."""
        return _find(name) is not None

    def run(self, name: str, payload: bytes, request_id: str) -> bytes:
        """Run a function with an event, and return its result, both in JSON.

        Raises:
            FunctionError: the function returned no result.
            TooManyRequests: its reserved concurrency is used up.
            LookupError: the function does not exist.
        """
        function = _find(name)
        if function is None:
            raise LookupError(name)
        environment = self._take(function)
        try:
            return environment.run(request_id, payload)
        finally:
            self._give_back(environment)

    def event_invoke_config(self, name: str) -> EventInvokeConfig:
        """Return the settings for asynchronous invocations of a function."""
        function = _find(name)
        if function is None or not function.event_invoke_config:
            return EventInvokeConfig()
        config = function.event_invoke_config[-1].config  # moto keeps the former ones too
        destination = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        return EventInvokeConfig(
            config.get("MaximumRetryAttempts", MAXIMUM_RETRY_ATTEMPTS),
            config.get("MaximumEventAgeInSeconds", MAXIMUM_EVENT_AGE),
            self._destination(destination, function) if destination else None,
        )

    def may_invoke(self, name: str, service: str, source_arn: str) -> bool:
        """Return whether a function's own policy allows a service of AWS to invoke it.

        Args:
            name: of the function.
            service: such as ``s3.amazonaws.com``.
            source_arn: the bucket, rule or API method for which the service calls.
        """
        function = _find(name)
        if function is None:
            return False
        context = Context(
            principal=service,
            values={"aws:sourcearn": source_arn, "aws:sourceaccount": ACCOUNT_ID},
        )
        policy = Policy.parse({"Statement": function.policy.statements})
        return policy.allows("lambda:InvokeFunction", function.function_arn, context)

    def pids(self) -> list[int]:
        """Return the process ids of all environments."""
        with self._lock:
            pools: list[Sequence[ExecutionEnvironment | None]] = [*self._idle.values()]
            pools += self._busy.values()
            return [environment.pid for pool in pools for environment in pool if environment]

    def stop(self) -> None:
        """End all processes, working ones too, and delete the unpacked code."""
        with self._lock:
            idle = [environment for some in self._idle.values() for environment in some]
            self._idle.clear()
            busy = [environment for some in self._busy.values() for environment in some]
        for environment in idle:
            environment.end()
        for at_work in busy:
            if at_work is not None:
                at_work.kill()  # the thread that runs it notices, and cleans up
        self.logs.stop()
        self._sessions.forget()
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def close(self) -> None:
        """End all processes, and start no more."""
        with self._lock:
            self._closed = True
        self.stop()

    # --- environments ---

    def _take(self, function: LambdaFunction) -> ExecutionEnvironment:
        """Return a free environment, or a new one."""
        configuration = _configuration(function)
        name = configuration.name
        outdated: list[ExecutionEnvironment] = []
        with self._lock:
            if self._closed:
                raise ServerStopping(name)
            limit = function.reserved_concurrency
            if limit is not None and len(self._busy[name]) >= int(limit):
                raise TooManyRequests(name)
            found = None
            while self._idle[name] and found is None:
                environment = self._idle[name].pop()
                if environment.usable and environment.configuration == configuration:
                    found = environment
                else:
                    outdated.append(environment)
            self._busy[name].append(found)
        for environment in outdated:
            environment.end()
        if found is not None:
            return found
        try:
            started = self._start(configuration, function.code_bytes)
        except BaseException:
            with self._lock:
                self._busy[name].remove(None)
            raise
        with self._lock:
            self._busy[name].remove(None)
            if not self._closed:
                self._busy[name].append(started)
                return started
        started.end()
        raise ServerStopping(name)

    def _give_back(self, environment: ExecutionEnvironment) -> None:
        self.logs.write(environment)
        name = environment.configuration.name
        with self._lock:
            self._busy[name].remove(environment)
            if environment.usable:
                self._idle[name].append(environment)
                return
        environment.end()

    def _start(self, configuration: FunctionConfiguration, zipped: bytes) -> ExecutionEnvironment:
        code, runtime_folder = self._unpacked(configuration, zipped)
        session = self._sessions.assume(configuration.role_arn, configuration.name)
        return ExecutionEnvironment(
            configuration,
            code,
            runtime_folder,
            {
                "AWS_ENDPOINT_URL": self._url,
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": session.access_key_id,
                "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
                "AWS_SESSION_TOKEN": session.session_token,
            },
        )

    def _unpacked(self, configuration: FunctionConfiguration, zipped: bytes) -> tuple[Path, Path]:
        """Return the folders of the code and of the runtime, which are made once."""
        with self._lock:
            if self._folder is None:
                folder = Path(tempfile.mkdtemp(prefix="localaws-"))
                with _removed_if_unfinished(folder):
                    (folder / "runtime").mkdir()
                    runtime.lay_out(folder / "runtime")
                self._folder = folder
            digest = hashlib.sha256(configuration.code_sha256.encode()).hexdigest()
            code = self._folder / digest[:32]
            if not code.exists():
                with _removed_if_unfinished(code), zipfile.ZipFile(io.BytesIO(zipped)) as files:
                    files.extractall(code)
            return code, self._folder / "runtime"

    # --- destinations ---

    def _destination(self, arn: str, function: LambdaFunction) -> Callable[[dict[str, Any]], None]:
        """Return a function that sends records to a queue, as the function's role."""
        _, _, service, _, _, name = arn.split(":", 5)
        if service != "sqs":
            raise NotImplementedError(f"{arn} cannot be a destination here: only queues can")

        def send(record: dict[str, Any]) -> None:
            sqs = self._sessions.client("sqs", function.role, function.function_name)
            url = f"{self._url}/{ACCOUNT_ID}/{name}"
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps(record))

        return send


@contextmanager
def _removed_if_unfinished(folder: Path) -> Iterator[None]:
    """Remove a folder if it cannot be filled, on a full disk for example."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _find(name: str) -> LambdaFunction | None:
    backend = moto.backends.get_backend("lambda")[ACCOUNT_ID][REGION]
    try:
        return backend.get_function(name)
    except Exception:  # moto's own exception for a missing function
        return None


def _configuration(function: LambdaFunction) -> FunctionConfiguration:
    return FunctionConfiguration(
        name=function.function_name,
        arn=function.function_arn,
        role_arn=function.role,
        handler=str(function.handler),
        code_sha256=function.code_sha_256,
        memory_size=int(function.memory_size),
        timeout=float(function.timeout),
        variables=tuple(sorted(function.environment_vars.items())),
    )
