"""Run Chalice's commands, and explain their failures."""

import subprocess
import sys
import time
from pathlib import Path

from facial_recognition.checkout import ROOT
from facial_recognition.infra.deployed_resources import DeployedResources
from facial_recognition.infra.errors import DeployError, missing_permission
from facial_recognition.infra.reporting import Report

_NOT_VISIBLE_YET = "Unable to validate the following destination configurations"
"""S3's answer while it does not see yet that it may invoke a new function."""
_WAITS_FOR_S3 = (3, 6, 12, 24)
"""Seconds."""


class ChaliceFailed(DeployError):
    """A command of Chalice failed."""

    def __init__(self, output: str) -> None:
        """Explain the failure.

        Args:
            output: the output of the command, which Chalice wraps into lines.
        """
        self.output = " ".join(output.split())
        super().__init__(
            missing_permission(self.output) or "Chalice failed; its output above says why."
        )


def deploy(stage: str, resources: DeployedResources, report: Report) -> None:
    """Run ``chalice deploy``, and repeat it while S3 does not see the new functions' permissions.

    Args:
        stage: the stage's name.
        resources: Chalice's note of the stage, which is fetched before each try.
        report: called with each line for the operator.

    Raises:
        ChaliceFailed: it failed for another reason, or S3 did not see the permissions in time.
        botocore.exceptions.ClientError: AWS refuses a call.
    """
    waits = iter(_WAITS_FOR_S3)
    while True:
        resources.fetch()
        try:
            run("deploy", "--stage", stage, report=report)
        except ChaliceFailed as error:
            seconds = next(waits, None)
            if seconds is None or _NOT_VISIBLE_YET not in error.output:
                raise
        else:
            return
        report(f"S3 may not invoke the functions yet: trying again in {seconds} seconds ...")
        time.sleep(seconds)


def run(*arguments: str, report: Report) -> None:
    """Run a command of Chalice in the project, and report its output.

    Raises:
        ChaliceFailed: it failed.
    """
    command = [str(Path(sys.executable).with_name("chalice")), *arguments]
    process = subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    output = []
    for line in process.stdout:
        output.append(line)
        report(line.rstrip())
    if process.wait():
        raise ChaliceFailed("".join(output))
