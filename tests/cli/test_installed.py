"""``faces`` where the package is installed: it is not linked from a checkout of the project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facial_recognition.cli.commands.local import _is_installed
from tests.support.paths import ROOT

WITHOUT_LOCALAWS = """
import sys
sys.modules["localaws"] = None
from facial_recognition.cli.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with the installed packages, and nothing else of the project."""
    folder = tmp_path / "site-packages"
    for package in ("facial_recognition", "chalicelib"):
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=leave)
    return folder


def faces(
    installed: Path, *arguments: str, cwd: Path, program: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder."""
    return subprocess.run(
        [sys.executable, *(program or ("-m", "facial_recognition.cli")), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [(), ("--help",), ("deploy", "--help"), ("run", "--help"), ("register", "--help")]
)
def test_help_is_shown_in_any_folder(
    installed: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = faces(installed, *arguments, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: faces")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("people",), 2),
        (("redrive",), 2),
        (("deploy", "--stage", "prod"), 1),
        (("undeploy", "--stage", "prod"), 1),
        (("run", "--port", "0"), 1),
    ],
)
def test_a_command_that_needs_the_project_says_so_outside_of_a_checkout(
    installed: Path, tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    done = faces(installed, *arguments, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: Run this in a checkout of the project: ")
    assert done.stderr.count("\n") == 1


def test_stages_are_read_from_the_checkout_around_the_current_folder(
    installed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project" / "docs"
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / ".chalice", tmp_path / "project" / ".chalice")

    done = faces(installed, "people", "--stage", "moon", cwd=folder)

    assert done.returncode == 2
    assert done.stderr == "error: There is no stage moon; there are dev, prod.\n"


def test_a_current_folder_that_was_deleted_is_no_traceback(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    script = f"""
import os, sys
os.rmdir({str(folder)!r})
{WITHOUT_LOCALAWS}
"""

    done = faces(installed, "people", cwd=folder, program=("-c", script))

    assert done.returncode == 2
    assert done.stderr.startswith("error: Run this in a checkout of the project: ")


def test_run_says_how_to_install_the_embedded_aws(installed: Path) -> None:
    done = faces(installed, "run", cwd=ROOT, program=("-c", WITHOUT_LOCALAWS))

    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install './localaws[aws]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_of_the_name_is_no_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_a_folder").mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    assert not _is_installed("only_a_folder")
    assert not _is_installed("nothing_at_all")
    assert _is_installed("localaws")
