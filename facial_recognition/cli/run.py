"""Run a command, and tell in one line what keeps it from doing its work."""

import logging
import os
import traceback
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from facial_recognition.cli.commands import app
from facial_recognition.cli.display import Display
from facial_recognition.cli.errors import explain

ERROR = 2
DEBUG = "FACES_DEBUG"


def run(given: Sequence[str]) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 all is well, 1 the answer is no or part of it failed, 2 an error, 130
        interrupted.
    """
    # The service's logs are for CloudWatch; here what went wrong is part of the answer.
    logging.getLogger("facial-recognition").setLevel(logging.CRITICAL)
    try:
        command = typer.main.get_command(app)
        # Whoever says nothing wants to know what there is.
        asked = list(given) or ["--help"]
        return int(command.main(asked, prog_name="faces", standalone_mode=False) or 0)
    except TyperException as error:
        code, detail = "usage", error.format_message()
    except Exception as error:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        code, detail = explain(error, _stage_of(given))
    Display(as_json="--json" in given).error(code, detail)
    return ERROR


def _stage_of(arguments: Sequence[str]) -> str:
    """Find the stage that was asked for, to be named in a message."""
    for before, after in zip(arguments, [*arguments[1:], ""], strict=True):
        if before == "--stage":
            return after
        if before.startswith("--stage="):
            return before.partition("=")[2]
    return os.environ.get("STAGE", "dev")
