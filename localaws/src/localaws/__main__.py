"""Run the embedded AWS on this machine: an empty account, or what its data folder holds.

With ``--only rekognition`` it is the local Rekognition alone, which needs no moto.
"""

import argparse
import sys
from contextlib import ExitStack, closing

from localaws import foreground


def main() -> int:
    """Run until a signal comes; mistakes are told in one line."""
    options = _options()
    run = _run_rekognition if options.only else _run
    return foreground.until_interrupted(lambda: run(options))


def _run(options: argparse.Namespace) -> int:
    print("starting the embedded AWS ...", flush=True)
    # Only now, so that there is something to see while it loads.
    from localaws.ports import PortUnusable
    from localaws.rekognition import ModelUnavailable
    from localaws.server import EmbeddedAWS

    with ExitStack() as running:
        try:
            aws = EmbeddedAWS(options.port, data=options.data, fresh=options.fresh)
            running.enter_context(aws)
            aws.functions.redeliver()
        except PortUnusable as error:
            print(f"error: {error} (--port)", file=sys.stderr)
            return 1
        except (ModelUnavailable, RuntimeError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        foreground.be_ready(f"AWS {aws.url}")
    return 0


def _run_rekognition(options: argparse.Namespace) -> int:
    print("starting the local Rekognition ...", flush=True)
    from localaws.database import DataFolder
    from localaws.ports import PortUnusable
    from localaws.rekognition import ModelUnavailable
    from localaws.rekognition.serving import RekognitionServer

    with ExitStack() as running:
        try:
            path = None
            if options.data:
                folder = running.enter_context(
                    closing(DataFolder(options.data, fresh=options.fresh))
                )
                path = folder.path / "rekognition.db"
            server = running.enter_context(RekognitionServer(options.port, path))
        except (PortUnusable, ModelUnavailable, RuntimeError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        foreground.be_ready("Rekognition", server.url)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="localaws", description=__doc__)
    parser.add_argument("--port", type=int, default=4566, help="where it listens (4566)")
    parser.add_argument("--data", help="folder to keep everything in; without it nothing is kept")
    parser.add_argument("--fresh", action="store_true", help="forget what is kept there")
    parser.add_argument("--only", choices=["rekognition"], help="run only this service")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
