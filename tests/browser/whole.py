"""Run the whole service in a process of its own, as ``make run`` does."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from processes import session_with
from tests.support.paths import ROOT
from tests.support.service import BUCKET


@dataclass(frozen=True)
class WholeService:
    """The URLs of the running service."""

    credentials: str
    """The file with the key of its AWS."""
    pages_url: str
    api_url: str
    aws_url: str

    def photographs(self) -> list[str]:
        """Return the keys of all photographs in the bucket."""
        s3: Any = session_with(Path(self.credentials)).client("s3", endpoint_url=self.aws_url)
        return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]


@contextmanager
def running(**environment: str) -> Iterator[WholeService]:
    """Start the service on free ports, with additional environment variables."""
    ports = ("--port", "0", "--api-port", "0", "--pages-port", "0")
    process = subprocess.Popen(
        [sys.executable, "-m", "facial_recognition.cli", "run", *ports],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        output = process.stdout
        assert output is not None
        credentials = _find(output, r"AWS_SHARED_CREDENTIALS_FILE=(\S+)")
        ready = _find(output, r"^ready pages (\S+) API (\S+) AWS (\S+)$")
        # Keep reading the log: the process would block on a full pipe.
        reader = threading.Thread(target=output.read, name="output of the service")
        reader.start()
        try:
            yield WholeService(*credentials, *ready)
        finally:
            process.terminate()
            reader.join()


def _find(output: IO[str], pattern: str) -> tuple[str, ...]:
    """Read up to a line that matches a pattern, and return its groups."""
    found = next(filter(None, (re.search(pattern, line) for line in output)), None)
    assert found, "the service ended before it was ready"
    return found.groups()
