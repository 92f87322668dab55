"""Lambda's execution environments: processes that run one function, one event at a time."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localaws.services.lambda_ import runtime
from localaws.services.lambda_.errors import FunctionError
from localaws.services.lambda_.runtime_api import Invocation, RuntimeApi

INIT_SECONDS = 10.0
"""The time that Lambda allows for the start of a function, in addition to its timeout."""
CHECK_INTERVAL = 0.02
"""Seconds between two checks of a working process."""


@dataclass(frozen=True)
class FunctionConfiguration:
    """The code and the settings of a function. An environment has one of them for its life."""

    name: str
    arn: str
    role_arn: str
    handler: str
    code_sha256: str
    memory_size: int
    """MB."""
    timeout: float
    """Seconds."""
    variables: tuple[tuple[str, str], ...]
    """The function's own environment variables."""


class LogLines:
    """The lines for CloudWatch Logs: milliseconds since the epoch, and text."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []

    def add(self, text: str) -> None:
        """Add a line with the current time."""
        self.lines.append((round(time.time() * 1000), text))

    def take(self) -> list[tuple[int, str]]:
        """Return the lines since the last call."""
        lines, self.lines = self.lines, []
        return lines


class ExecutionEnvironment:
    """A process with a function's code, which stays for the next event.

    The process starts at once.

    Args:
        configuration: of the function.
        code: the folder with the unpacked zip.
        runtime_folder: filled by :func:`localaws.services.lambda_.runtime.lay_out`.
        variables: the environment variables that Lambda sets in addition to the function's own.
    """

    def __init__(
        self,
        configuration: FunctionConfiguration,
        code: Path,
        runtime_folder: Path,
        variables: Mapping[str, str],
    ) -> None:
        self.configuration = configuration
        today = datetime.now(UTC).strftime("%Y/%m/%d")
        self.log_stream = f"{today}/[$LATEST]{uuid.uuid4().hex}"
        self.log = LogLines()
        self._api = RuntimeApi()
        self._started = time.monotonic()
        self._init_seconds: float | None = None
        self._rest = b""
        self._known_memory = 0
        own = dict(configuration.variables)
        self._process = subprocess.Popen(  # noqa: S603 - deployed code must run
            runtime.command(configuration.handler),
            cwd=code,
            env={
                **own,
                **variables,
                "PATH": os.defpath,
                "LANG": "en_US.UTF-8",
                "TZ": ":UTC",
                "PYTHONPATH": f"{code}{os.pathsep}{runtime_folder}",
                "LAMBDA_TASK_ROOT": str(code),
                "LAMBDA_RUNTIME_DIR": str(runtime_folder),
                "AWS_LAMBDA_RUNTIME_API": self._api.address,
                "AWS_LAMBDA_FUNCTION_NAME": configuration.name,
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configuration.memory_size),
                "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
                "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{configuration.name}",
                "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
                "_HANDLER": configuration.handler,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether the process can handle another event."""
        return self._process.poll() is None and self._api.init_error is None

    def run(self, request_id: str, payload: bytes) -> bytes:
        """Run the function with an event in JSON, and return its result in JSON.

        Raises:
            FunctionError: the function raised an exception, took too much time or memory, or its
                process ended. Only after an exception is the environment still usable.
        """
        self._wait_until_ready(request_id)
        self.log.add(f"START RequestId: {request_id} Version: $LATEST\n")
        started = time.monotonic()
        timeout = self.configuration.timeout
        invocation = Invocation(
            request_id, payload, self.configuration.arn, deadline=time.time() + timeout
        )
        self._api.give(invocation)
        try:
            self._watch(invocation, started + timeout)
        finally:
            self._read_output()
            self._report(request_id, time.monotonic() - started)
        if invocation.error is not None:
            raise invocation.error
        return invocation.result

    def end(self) -> None:
        """Kill the process if it lives, and close the connections to it."""
        self._process.kill()
        self._process.wait()
        self._api.close()
        if self._process.stdout is not None:
            self._process.stdout.close()

    # --- waiting for the process ---

    def _wait_until_ready(self, request_id: str) -> None:
        """Wait until the handler is loaded.

        After 10 seconds Lambda starts the process again, and then waits for the function's timeout.
        Here the first process continues for both times together.
        """
        if self._init_seconds is not None:
            return
        until = self._started + INIT_SECONDS + self.configuration.timeout
        while not self._api.ready.wait(CHECK_INTERVAL):
            self._read_output()
            self._check(request_id, until)
        self._init_seconds = time.monotonic() - self._started
        if self._api.init_error is not None:
            self._process.wait()
            self._read_output()
            raise FunctionError(self._api.init_error)

    def _watch(self, invocation: Invocation, until: float) -> None:
        while not invocation.ended.wait(CHECK_INTERVAL):
            self._read_output()
            try:
                self._check(invocation.request_id, until)
            except FunctionError as error:
                if invocation.ended.is_set():  # the process answered before it ended
                    break
                invocation.fail(error.payload)
        if self._is_too_large() and self._process.poll() is None:
            self.kill()
            invocation.fail(self._exit(invocation.request_id))

    def _check(self, request_id: str, until: float) -> None:
        """Kill the process if it breaks a limit.

        Raises:
            FunctionError: the process has ended, by itself or because of a limit.
        """
        if self._is_too_large():
            self.kill()
        if self._process.poll() is not None:
            raise FunctionError(self._exit(request_id))
        if time.monotonic() > until:
            self.kill()
            seconds = self.configuration.timeout
            self.log.add(f"{_now()} {request_id} Task timed out after {seconds:.2f} seconds\n\n")
            raise FunctionError(
                {
                    "errorType": "Sandbox.Timedout",
                    "errorMessage": f"RequestId: {request_id} Error: Task timed out after"
                    f" {seconds:.2f} seconds",
                }
            )

    def kill(self) -> None:
        """Kill the process. A running invocation gets an error."""
        self._process.kill()
        self._process.wait()

    def _exit(self, request_id: str) -> dict[str, Any]:
        """Log and return how the process ended, in Lambda's words."""
        status = self._process.wait()
        how = f"exit status {status}"
        if status < 0:
            name = "killed" if -status == signal.SIGKILL else signal.strsignal(-status) or "unknown"
            how = f"signal: {name.lower()}"
        message = f"RequestId: {request_id} Error: Runtime exited with error: {how}"
        self.log.add(f"{message}\nRuntime.ExitError\n")
        return {"errorType": "Runtime.ExitError", "errorMessage": message}

    # --- memory and output ---

    def _is_too_large(self) -> bool:
        return self._most_memory() > self.configuration.memory_size * 1024**2

    def _most_memory(self) -> int:
        """Return the most bytes of resident memory that the process has ever had.

        Lambda limits resident memory, with a cgroup, and kills the process. The high-water mark
        also shows memory that came and went between two checks. A limit of the address space would
        count memory that is only reserved, and would raise MemoryError.
        """
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return self._known_memory
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                self._known_memory = int(line.split()[1]) * 1024
        return self._known_memory

    def _read_output(self) -> None:
        """Add the lines that the process has printed to the log."""
        while True:
            try:
                read = os.read(self._output, 1 << 16)
            except BlockingIOError:
                return
            if not read:  # the end of all output
                break
            *lines, self._rest = (self._rest + read).split(b"\n")
            for line in lines:
                self._log_line(line)
        if self._rest:
            self._log_line(self._rest)
            self._rest = b""

    def _log_line(self, line: bytes) -> None:
        # awslambdaric separates the lines of one message with carriage returns.
        self.log.add(line.decode(errors="replace").replace("\r", "\n") + "\n")

    def _report(self, request_id: str, seconds: float) -> None:
        self.log.add(f"END RequestId: {request_id}\n")
        milliseconds = seconds * 1000
        parts = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {milliseconds:.2f} ms",
            f"Billed Duration: {int(milliseconds) + 1} ms",
            f"Memory Size: {self.configuration.memory_size} MB",
            f"Max Memory Used: {self._most_memory() // 1024**2} MB",
        ]
        if self._init_seconds:  # only the first report tells it
            parts.append(f"Init Duration: {self._init_seconds * 1000:.2f} ms")
            self._init_seconds = 0.0
        self.log.add("\t".join([*parts, ""]) + "\n")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
