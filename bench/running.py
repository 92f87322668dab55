"""The service in a process of its own, as ``make run`` starts it."""

import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config

from localaws.credentials import AccessKey

ROOT = Path(__file__).parent.parent
BUCKET, TABLE, COLLECTION = "facial-recognition-data-bucket", "face-metadata", "face-collection"


class RunningService:
    """A running service on free ports; leaving it as a context manager stops it.

    Args:
        folder: for its data.
        log: gets the errors that the service reports.
        files: the most files that each of its processes may have open; None leaves it unchanged.
    """

    def __init__(
        self, folder: Path, log: Any = subprocess.DEVNULL, files: int | None = None
    ) -> None:
        command = [sys.executable, "-m", "facial_recognition.cli", "run", "--data", str(folder)]
        ports = ["--port", "0", "--api-port", "0", "--pages-port", "0"]
        self._process = subprocess.Popen(
            [*command, *ports],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        if files is not None:  # before it has read its own program
            resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (files, files))
        assert self._process.stdout is not None
        ready = next((line for line in self._process.stdout if line.startswith("ready ")), "")
        if not ready:
            raise RuntimeError("the service did not start")
        # A pipe that nobody reads would fill up, and the service would wait.
        threading.Thread(target=deque, args=(self._process.stdout, 0), daemon=True).start()
        addresses: list[str] = re.findall(r"http://\S+", ready)
        self.pages, self.api, self.aws = addresses
        self._key = AccessKey.kept_in(folder)

    @property
    def pid(self) -> int:
        """The process, which is the leader of its group."""
        return self._process.pid

    @property
    def session(self) -> boto3.Session:
        """A session with the service's access key."""
        key = self._key
        return boto3.Session(key.access_key_id, key.secret_access_key, region_name="us-east-1")

    def client(self, service: str, connections: int = 10) -> Any:
        """Return a client that tries each call once. Threads may share it."""
        config = Config(
            retries={"total_max_attempts": 1},
            max_pool_connections=connections,
            signature_version="s3v4" if service == "s3" else None,
        )
        return self.session.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.aws,
            config=config,
        )

    def processes(self) -> list[int]:
        """Return the ids of the processes of the service (Linux)."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                group = path.read_text().rpartition(")")[2].split()[2]
            except OSError:  # it has ended meanwhile
                continue
            if int(group) == self.pid:
                found.append(int(path.parent.name))
        return found

    def kill(self, *, all_processes: bool) -> None:
        """Kill the process, or its whole group, without a warning."""
        (os.killpg if all_processes else os.kill)(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End the service as Ctrl-C does."""
        self._process.terminate()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def memory(process: int) -> float:
    """Return the resident memory of a process in MB (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000
