"""Run AWS on this machine: an empty account, or the account in the data folder.

With ``--only rekognition`` it runs Rekognition alone, which needs no moto.
"""

import argparse
import re
import sys
from contextlib import ExitStack, closing
from typing import Final

from localaws import foreground
from localaws.credentials import OPEN_TO_ALL, AccessKey, shell_variables

_EXTRA: Final = ("moto", "msgspec", "joserfc", "yaml")
"""Modules of the extra ``aws``."""


def main() -> int:
    """Run until a signal ends it, and return the exit code. Errors are printed in one line."""
    options = _options()
    run = _run_rekognition if options.only else _run
    return foreground.until_interrupted(lambda: run(options))


def _run(options: argparse.Namespace) -> int:
    print("starting the embedded AWS ...", flush=True)
    # These imports take seconds: the line above shows that something happens.
    from localaws.ports import PortUnusable
    from localaws.rekognition import ModelUnavailable

    try:
        from localaws.server import EmbeddedAWS
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _EXTRA:
            raise
        return _fail(f"{name} is not installed: pip install 'localaws[aws]'")

    with ExitStack() as running:
        try:
            aws = EmbeddedAWS(
                options.port,
                data=options.data,
                fresh=options.fresh,
                open_to_all=options.open_to_all,
            )
            aws.guard.admit(*options.allow_origin)
            running.enter_context(aws)
            aws.functions.redeliver()
        except PortUnusable as error:
            return _fail(f"{error} (--port)")
        except (ModelUnavailable, RuntimeError) as error:
            return _fail(error)
        _show_key(running, options, aws.access_key, aws.url)
        foreground.be_ready(f"AWS {aws.url}")
    return 0


def _run_rekognition(options: argparse.Namespace) -> int:
    print("starting the local Rekognition ...", flush=True)
    from localaws.data_folder import REKOGNITION, DataFolder
    from localaws.ports import PortUnusable
    from localaws.rekognition import ModelUnavailable
    from localaws.rekognition.serving import RekognitionServer

    with ExitStack() as running:
        try:
            path, key = None, AccessKey.new()
            if options.data:
                folder = running.enter_context(
                    closing(DataFolder(options.data, fresh=options.fresh))
                )
                path, key = folder.path / REKOGNITION, folder.access_key()
            server = RekognitionServer(options.port, path, None if options.open_to_all else key)
            server.guard.admit(*options.allow_origin)
            if options.open_to_all:
                server.guard.open()
            running.enter_context(server)
        except PortUnusable as error:
            return _fail(f"{error} (--port)")
        except (ModelUnavailable, RuntimeError) as error:
            return _fail(error)
        _show_key(running, options, key, server.url)
        foreground.be_ready("Rekognition", server.url)
    return 0


def _show_key(running: ExitStack, options: argparse.Namespace, key: AccessKey, url: str) -> None:
    """Print how a shell gets the key, and a warning if nobody needs it."""
    print(running.enter_context(shell_variables(key, options.data, url)), flush=True)
    if options.open_to_all:
        print(OPEN_TO_ALL, flush=True)


def _fail(reason: object) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return 1


def _origin(text: str) -> str:
    if not re.fullmatch(r"https?://[^/*,\s]+", text):
        raise argparse.ArgumentTypeError(f"{text} is no origin, such as http://localhost:3000")
    return text.lower()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="localaws", description=__doc__)
    parser.add_argument("--port", type=int, default=4566, help="of 127.0.0.1 (4566)")
    parser.add_argument(
        "--data", help="folder for all data; without it, data ends with the process"
    )
    parser.add_argument("--fresh", action="store_true", help="delete the data in the folder first")
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        type=_origin,
        metavar="ORIGIN",
        help="let web pages of this origin use the port, such as http://localhost:3000",
    )
    parser.add_argument(
        "--open",
        action="store_true",
        dest="open_to_all",
        help="answer every program, user and web page, signed or not",
    )
    parser.add_argument("--only", choices=["rekognition"], help="run only this service")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
