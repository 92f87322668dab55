"""Run the service on this machine: the embedded AWS with this project's event handlers in it.

Beside it, ``chalice local`` runs the project's API; with ``--api-port`` this does it too, and with
``--pages-port`` it serves the pages that call it.
"""

import argparse
import os
import sys
from contextlib import ExitStack

from localaws import foreground

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
    return foreground.until_interrupted(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    print("starting the embedded AWS ...", flush=True)
    # Only now, so that there is something to see while it loads.
    from chalicelib.settings import Settings, SettingsError
    from facial_recognition.infra.pages import PagesConfig
    from facial_recognition.local.api import LocalApi
    from facial_recognition.local.pages import LocalPages
    from facial_recognition.local.project import install
    from localaws.ports import PortUnusable
    from localaws.rekognition import ModelUnavailable
    from localaws.server import EmbeddedAWS

    with ExitStack() as running:
        try:
            aws = EmbeddedAWS(options.port, data=options.data, fresh=options.fresh)
            running.enter_context(aws)
            project = install(aws, options.project, options.stage)
            aws.functions.redeliver()
            addresses = [f"AWS {aws.url}"]
            if options.api_port is not None:
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
        foreground.be_ready(*addresses)
    return 0


def _how_to_choose(options: argparse.Namespace, port: int) -> str:
    if port == options.pages_port:
        return "(--pages-port, or make run PAGES_PORT=...)"
    if port == options.api_port:
        return "(--api-port, or make run API_PORT=...)"
    return "(--port, or make run AWS_PORT=...)"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m facial_recognition.local", description=__doc__)
    parser.add_argument("--port", type=int, default=4566, help="of AWS (4566)")
    parser.add_argument("--api-port", type=int, help="of the API; without it only AWS is run")
    parser.add_argument("--pages-port", type=int, help="of the pages; needs --api-port")
    parser.add_argument("--project", default=os.getcwd(), help="folder of the Chalice project")
    parser.add_argument("--stage", default="dev", help="whose environment the project gets (dev)")
    parser.add_argument("--data", help="folder to keep everything in; without it nothing is kept")
    parser.add_argument("--fresh", action="store_true", help="forget what is kept there")
    options = parser.parse_args()
    if options.pages_port is not None and options.api_port is None:
        parser.error("--pages-port needs --api-port: the pages call the API")
    return options


if __name__ == "__main__":
    sys.exit(main())
