"""The commands of the project, in processes of their own."""

import os
import subprocess
import sys
import time

import pytest

from processes import PATIENCE, session_of, started, wait_for
from tests.support.paths import ROOT

__all__ = [
    "PATIENCE",
    "localaws",
    "run_faces",
    "run_service",
    "session_of",
    "started",
    "wait_for",
    "wait_until_gone",
]


def wait_until_gone(group: int) -> None:
    """Wait until no process of a group is left. The last ones end when they notice the others."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    pytest.fail("a process is left")


def run_service(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs the service on this machine."""
    return (sys.executable, "-m", "facial_recognition.cli", "run", *arguments)


def localaws(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs the embedded AWS without the service."""
    return (sys.executable, "-m", "localaws", *arguments)


def run_faces(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ``faces`` in a process of its own, and return its exit code and output."""
    return subprocess.run(
        [sys.executable, "-m", "facial_recognition.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
