"""The Makefile passes variables on to the commands that it runs."""

import shlex
import shutil
import subprocess

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def commands_of(*arguments: str) -> list[str]:
    """Return the commands that make would run."""
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("variables", "data", "fresh"),
    [
        ([], "data", False),
        (["FRESH=1"], "data", True),
        (["FRESH=0"], "data", False),
        (["DATA=some where", "FRESH=1"], "some where", True),
    ],
)
def test_run_keeps_its_data_unless_it_starts_fresh(
    variables: list[str], data: str, fresh: bool
) -> None:
    *_, last = commands_of("run", *variables)

    command = shlex.split(last)
    assert command[command.index("--data") + 1] == data
    assert ("--fresh" in command) is fresh


def test_the_tests_run_in_both_packages() -> None:
    *_, localaws, service = commands_of("test")

    assert localaws.startswith("cd localaws && ")
    assert all("-m pytest" in command for command in (localaws, service))


def test_arguments_of_pytest_choose_among_the_tests_of_the_service() -> None:
    commands = commands_of("test", "PYTEST_ARGS=tests/unit -x")

    assert commands[-1].rstrip().endswith("tests/unit -x")
    assert not any("cd localaws" in command for command in commands)
