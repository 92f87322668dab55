"""``make run`` keeps its data, and ``make run FRESH=1`` deletes it first."""

import shlex
import shutil
import subprocess

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.mark.parametrize(
    ("variables", "data", "fresh"),
    [
        ([], "data", False),
        (["FRESH=1"], "data", True),
        (["FRESH=0"], "data", False),
        (["DATA=some where", "FRESH=1"], "some where", True),
    ],
)
def test_make_run(variables: list[str], data: str, fresh: bool) -> None:
    said = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "run", *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    command = shlex.split(said.stdout.splitlines()[-1])
    assert command[command.index("--data") + 1] == data
    assert ("--fresh" in command) is fresh
