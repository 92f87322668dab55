"""Run the service on this machine: the embedded AWS with this project's event handlers in it.

The runner starts the API and the pages too where they are given ports. Without an API, ``chalice
local`` can run beside it.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass

from localaws import foreground

HINTS = """
Try it from another terminal in this folder, with photographs of your own:

  curl '{api}/register?name=Ada&personId=ada' -H 'Content-Type: image/jpeg' --data-binary @ada.jpg
  curl '{api}/verify' -H 'Content-Type: image/jpeg' --data-binary @somebody.jpg

  {variables}
  alias aws=.venv/bin/aws
  aws s3 cp grace.jpg s3://{bucket}/faces/grace/
  aws s3 rm s3://{bucket}/faces/grace/grace.jpg

Ctrl-C stops everything.
"""


class CannotRun(Exception):
    """The service cannot run; the message says why and what to do."""


@dataclass(frozen=True)
class Options:
    """What to run, and where."""

    project: str
    """Folder of the Chalice project."""
    stage: str
    """The stage whose environment the project gets."""
    port: int
    """Port of the embedded AWS. For every port, 0 takes a free one."""
    api_port: int | None
    """Port of the API; None runs no API."""
    pages_port: int | None
    """Port of the pages; None runs no pages. They need the API."""
    data: str | None
    """Folder for all data; None keeps nothing."""
    fresh: bool
    """Whether to delete the data in the folder first."""
    open_to_all: bool
    """Whether all programs, users and web pages may use the ports, without a signature."""


def run(options: Options) -> int:
    """Run the service until a signal ends it, and return 0.

    Raises:
        CannotRun: a port, the project, its stage, the data or a model cannot be used.
    """
    return foreground.until_interrupted(lambda: _run(options))


def _run(options: Options) -> int:
    print("starting the embedded AWS ...", flush=True)
    # These imports take seconds. The line above appears before them.
    from chalicelib.settings import SettingsError
    from localaws.errors import DataUnusable
    from localaws.ports import PortUnusable
    from localaws.rekognition import ModelUnavailable

    with ExitStack() as running:
        try:
            hints, addresses = _start(options, running)
        except PortUnusable as error:
            raise CannotRun(f"{error} {_option_of(options, error.port)}") from error
        except DataUnusable as error:
            raise CannotRun(f"{error}{_variable_of(error)}") from error
        except (ModelUnavailable, SettingsError, RuntimeError) as error:
            raise CannotRun(str(error)) from error
        print(hints, flush=True)
        foreground.be_ready(*addresses)
    return 0


def _start(options: Options, running: ExitStack) -> tuple[str, list[str]]:
    """Start everything, and return hints for the user, and the addresses."""
    from chalicelib.settings import Settings
    from facial_recognition.infra.pages import PagesConfig
    from facial_recognition.local.api import LocalApi
    from facial_recognition.local.pages import LocalPages
    from facial_recognition.local.project import install
    from localaws.credentials import OPEN_TO_ALL, shell_variables
    from localaws.server import EmbeddedAWS

    aws = EmbeddedAWS(
        options.port, data=options.data, fresh=options.fresh, open_to_all=options.open_to_all
    )
    running.enter_context(aws)
    project = install(aws, options.project, options.stage)
    aws.functions.redeliver()
    settings = Settings.from_environment(os.environ)
    hints = running.enter_context(shell_variables(aws.access_key, options.data, aws.url))
    addresses, guards = [f"AWS {aws.url}"], [aws.guard]
    if options.api_port is not None:
        api = running.enter_context(LocalApi(project, options.api_port))
        addresses.insert(0, f"API {api.url}")
        guards.append(api.guard)
        hints = HINTS.format(api=api.url, variables=hints, bucket=settings.faces_bucket)
        if options.pages_port is not None:
            config = PagesConfig(api.url, region=os.environ["AWS_DEFAULT_REGION"])
            pages = LocalPages(config, aws.url, options.pages_port, guards)
            addresses.insert(0, f"pages {running.enter_context(pages).url}")
            guards.append(pages.guard)
    for guard in guards:
        if settings.cors_origin != "*":
            guard.admit(settings.cors_origin)
        if options.open_to_all:
            guard.open()
    return f"{hints}\n{OPEN_TO_ALL}" if options.open_to_all else hints, addresses


def _variable_of(error: Exception) -> str:
    """Return the variable of ``make run`` for the option that an error's message ends with."""
    if str(error).endswith("(--data)"):
        return ", or make run DATA=..."
    return ", or make run FRESH=1" if str(error).endswith("(--fresh)") else ""


def _option_of(options: Options, port: int) -> str:
    """Return the option, and the variable of ``make run``, that set a port."""
    if port == options.pages_port:
        return "(--pages-port, or make run PAGES_PORT=...)"
    if port == options.api_port:
        return "(--api-port, or make run API_PORT=...)"
    return "(--port, or make run AWS_PORT=...)"
