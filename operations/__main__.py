"""Run a command, and tell in one line what keeps it from doing its work."""

import logging
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from operations.commands import INTERRUPTED, app
from operations.display import Display
from operations.errors import EXPECTED, explain

ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 all is well, 1 the answer is no or part of it failed, 2 an error, 130
        interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # The service's logs are for CloudWatch; here what went wrong is part of the answer.
    logging.getLogger("facial-recognition").setLevel(logging.CRITICAL)
    try:
        command = typer.main.get_command(app)
        return int(command.main(given, prog_name="faces", standalone_mode=False) or 0)
    except TyperException as error:
        code, detail = "usage", error.format_message()
    except EXPECTED as error:
        code, detail = explain(error, _stage_of(given))
    except KeyboardInterrupt:
        return INTERRUPTED
    Display(as_json="--json" in given).error(code, detail)
    return ERROR


def _stage_of(arguments: Sequence[str]) -> str:
    """Find the stage that was asked for, to be named in a message."""
    for before, after in zip(arguments, [*arguments[1:], ""], strict=True):
        if before == "--stage":
            return after
        if before.startswith("--stage="):
            return before.partition("=")[2]
    return "dev"


if __name__ == "__main__":
    sys.exit(main())
