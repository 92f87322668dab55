"""Processes that tests start as a user does by hand."""

import configparser
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

PATIENCE = 60.0
"""Seconds after which a process is killed."""
LOCALAWS = (sys.executable, "-m", "localaws")


@contextmanager
def started(*command: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a process group of its own, and kill the rest of the group at the end."""
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


def session_of(process: subprocess.Popen[str]) -> boto3.Session:
    """Return a session with the key in the file that a process names when it starts."""
    path = wait_for(process, r"AWS_SHARED_CREDENTIALS_FILE=(\S+)")[1]
    return session_with(Path(path))


def session_with(credentials: Path) -> boto3.Session:
    """Return a session with the key in a credentials file."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(credentials)
    return boto3.Session(**parser["default"], region_name="us-east-1")


def finished(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
