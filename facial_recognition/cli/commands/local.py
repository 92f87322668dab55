"""``faces run``."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from facial_recognition import checkout
from facial_recognition.cli.commands.options import stage_names
from facial_recognition.cli.errors import CannotDo


def run(
    *,
    port: Annotated[int, typer.Option(help="Port of the embedded AWS.")] = 4566,
    api_port: Annotated[
        int | None, typer.Option(help="Port of the API. Without it, only the embedded AWS runs.")
    ] = None,
    pages_port: Annotated[
        int | None, typer.Option(help="Port of the pages; needs --api-port.")
    ] = None,
    project: Annotated[
        Path | None, typer.Option(help="Folder of the Chalice project (default: the checkout).")
    ] = None,
    stage: Annotated[
        str,
        typer.Option(
            help="The stage whose environment the project gets.", autocompletion=stage_names
        ),
    ] = "dev",
    data: Annotated[
        str | None, typer.Option(help="Folder for all data. Without it, nothing is kept.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the data in the folder.")] = False,
    open_to_all: Annotated[
        bool,
        typer.Option(
            "--open", help="Let every program, user and web page use the ports without a signature."
        ),
    ] = False,
) -> int:
    """Run the service on this machine until Ctrl-C."""
    if pages_port is not None and api_port is None:
        raise typer.BadParameter("The pages call the API: --pages-port needs --api-port.")
    _require_localaws()
    from facial_recognition.local import runner  # noqa: PLC0415 - it needs localaws

    options = runner.Options(
        project=str(project or checkout.require()),
        stage=stage,
        port=port,
        api_port=api_port,
        pages_port=pages_port,
        data=data,
        fresh=fresh,
        open_to_all=open_to_all,
    )
    try:
        return runner.run(options)
    except runner.CannotRun as error:
        raise CannotDo(str(error), "cannot_run") from error


def _require_localaws() -> None:
    """Check that the embedded AWS is installed, which operators of stages on AWS do not need."""
    if not (_is_installed("localaws") and _is_installed("moto")):
        raise CannotDo(
            "faces run needs the embedded AWS. Install it in a checkout of the project:"
            " pip install './localaws[aws]'",
            "not_installed",
        )


def _is_installed(package: str) -> bool:
    spec = find_spec(package)
    return spec is not None and spec.origin is not None  # else it is only a folder of that name
