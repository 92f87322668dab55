"""Run the embedded AWS on this machine, with this project's event handlers in it.

Beside it, ``chalice local`` runs the project's API; with ``--api-port`` this does it too, and with
``--pages-port`` it serves the pages that call it. With ``--empty`` there is nothing of the project
in it yet: the project can be deployed to it. With ``--only rekognition`` it is just that, without
the project and the other services.
"""

import argparse
import os
import signal
import socket
import sys
from contextlib import ExitStack, closing

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

HINTS = """
Try it from another terminal in this folder, with photographs of your own:

  curl '{api}/register?name=Ada&personId=ada' -H 'Content-Type: image/jpeg' --data-binary @ada.jpg
  curl '{api}/verify' -H 'Content-Type: image/jpeg' --data-binary @somebody.jpg

  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=us-east-1
  alias aws='.venv/bin/aws --endpoint-url {aws}'
  aws s3 cp grace.jpg s3://{bucket}/faces/grace/
  aws s3 rm s3://{bucket}/faces/grace/grace.jpg

Ctrl-C stops everything.
"""


def main() -> int:
    """Run until a signal comes; mistakes are told in one line."""
    options = _options()
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)  # it raises KeyboardInterrupt
    try:
        return _run_rekognition(options) if options.only else _run(options)
    except KeyboardInterrupt:
        return 0


def _run(options: argparse.Namespace) -> int:
    print("starting the embedded AWS ...", flush=True)
    # Only now, so that there is something to see while it loads.
    from chalicelib.settings import Settings, SettingsError
    from infra.pages import PagesConfig
    from localaws.api import LocalApi
    from localaws.pages import LocalPages
    from localaws.ports import PortUnusable
    from localaws.project import install
    from localaws.rekognition import ModelUnavailable
    from localaws.server import EmbeddedAWS

    with ExitStack() as running:
        try:
            aws = EmbeddedAWS(options.port, data=options.data, fresh=options.fresh)
            running.enter_context(aws)
            project = None if options.empty else install(aws, options.project, options.stage)
            aws.functions.redeliver()
            addresses = [f"AWS {aws.url}"]
            if project is not None and options.api_port is not None:
                api = running.enter_context(LocalApi(project, options.api_port))
                addresses.insert(0, f"API {api.url}")
                if options.pages_port is not None:
                    config = PagesConfig(api.url, region=os.environ["AWS_DEFAULT_REGION"])
                    pages = LocalPages(config, aws.url, options.pages_port)
                    addresses.insert(0, f"pages {running.enter_context(pages).url}")
                bucket = Settings.from_environment(os.environ).faces_bucket
                print(HINTS.format(api=api.url, aws=aws.url, bucket=bucket))
        except PortUnusable as error:
            print(f"error: {error} {_how_to_choose(options, error.port)}", file=sys.stderr)
            return 1
        except (ModelUnavailable, SettingsError, RuntimeError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        _be_ready(*addresses)
    return 0


def _how_to_choose(options: argparse.Namespace, port: int) -> str:
    if port == options.pages_port:
        return "(--pages-port, or make run PAGES_PORT=...)"
    if port == options.api_port:
        return "(--api-port, or make run API_PORT=...)"
    return "(--port, or make run AWS_PORT=...)"


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
        _be_ready("Rekognition", server.url)
    return 0


def _be_ready(*addresses: str) -> None:
    print("ready", *addresses, flush=True)
    try:
        _wait_for_a_signal()
    finally:
        print("stopping ...", flush=True)


def _wait_for_a_signal() -> None:
    """Wait until a signal handler raises.

    The kernel may give a signal to any thread, and Python runs its handler in the main one, which
    would not wake up for it from waiting for a lock. So it waits for the byte that Python writes.
    """
    woken, waking = socket.socketpair()
    with woken, waking:
        waking.setblocking(False)
        signal.set_wakeup_fd(waking.fileno())
        try:
            while True:
                woken.recv(1)
        finally:
            signal.set_wakeup_fd(-1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m localaws", description=__doc__)
    parser.add_argument("--port", type=int, default=4566, help="of AWS (4566)")
    parser.add_argument("--api-port", type=int, help="of the API; without it only AWS is run")
    parser.add_argument("--pages-port", type=int, help="of the pages; needs --api-port")
    parser.add_argument("--project", default=os.getcwd(), help="folder of the Chalice project")
    parser.add_argument("--stage", default="dev", help="whose environment the project gets (dev)")
    parser.add_argument("--data", help="folder to keep everything in; without it nothing is kept")
    parser.add_argument("--fresh", action="store_true", help="forget what is kept there")
    parser.add_argument(
        "--empty", action="store_true", help="without the project: an account to deploy to"
    )
    parser.add_argument("--only", choices=["rekognition"], help="run only this service")
    options = parser.parse_args()
    if options.pages_port is not None and options.api_port is None:
        parser.error("--pages-port needs --api-port: the pages call the API")
    if options.empty and options.api_port is not None:
        parser.error("--empty has no API: deploy one")
    return options


if __name__ == "__main__":
    sys.exit(main())
