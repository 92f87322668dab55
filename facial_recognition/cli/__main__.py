"""Where the command begins: with as little as can be, so that Ctrl-C is understood from then on."""

import sys
from collections.abc import Sequence

from facial_recognition.cli import INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        from facial_recognition.cli.run import run  # noqa: PLC0415 - takes a quarter of a second

        return run(given)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
