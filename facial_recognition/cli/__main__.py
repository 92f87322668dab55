"""Start the ``faces`` command. It imports little, so that Ctrl-C works from the beginning."""

import sys
from collections.abc import Sequence

from facial_recognition.cli.exit_codes import DONE, INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: the command and its options; by default those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        from facial_recognition.cli.run import run  # noqa: PLC0415 - takes a quarter of a second

        return run(given)
    except KeyboardInterrupt:
        # Ctrl-C is the way to end the servers of faces run.
        return DONE if given[:1] == ["run"] else INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
