"""Processes that tests start as a user does by hand."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PATIENCE = 60.0
"""Seconds that a test waits for a process."""


@contextmanager
def started(*command: str, cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """Run a command in its own process group, and kill the group at the end."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read the output of a process up to a line that matches a pattern; return the match."""
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line)
        if found := re.search(pattern, line):
            return found
    pytest.fail(f"ended without {pattern}:\n{''.join(printed)}")


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
