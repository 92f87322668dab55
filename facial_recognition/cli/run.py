"""The error boundary: run a command, and print any error as one line."""

import os
import traceback
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from facial_recognition.cli.commands import app
from facial_recognition.cli.display import Display
from facial_recognition.cli.errors import explain
from facial_recognition.cli.exit_codes import ERROR, FAILED

DEBUG = "FACES_DEBUG"
DEPLOYING = ("deploy", "undeploy")


def run(given: Sequence[str]) -> int:
    """Run a command and return its exit code.

    The exit code is 0 if all is well, 1 if the answer is no or part of the work failed, 2 after an
    error, and 130 after Ctrl-C. ``deploy``, ``undeploy`` and ``run`` have no answer that could be
    no: they exit with 1 after an error. A mistake in the command line is 2 for every command.

    Args:
        given: the command and its options.
    """
    name = next(iter(given), "")
    try:
        command = typer.main.get_command(app)
        arguments = list(given) or ["--help"]
        return int(command.main(arguments, prog_name="faces", standalone_mode=False) or 0)
    except TyperException as error:
        code, detail = "usage", error.format_message()
        exit_code = ERROR
    except Exception as error:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        code, detail = explain(error, _stage_of(given), deploying=name in DEPLOYING)
        exit_code = FAILED if name in (*DEPLOYING, "run") else ERROR
    Display(as_json="--json" in given).error(code, detail)
    return exit_code


def _stage_of(arguments: Sequence[str]) -> str:
    """Return the stage that the command line names, for messages."""
    for before, after in zip(arguments, [*arguments[1:], ""], strict=True):
        if before == "--stage":
            return after
        if before.startswith("--stage="):
            return before.partition("=")[2]
    return os.environ.get("STAGE", "dev")
