"""Options and texts that several commands share."""

from typing import Annotated

import typer

from facial_recognition.checkout import NoCheckout
from facial_recognition.infra import stages

WAIT = 60.0
"""Seconds."""
CONTINUES = "Interrupted. The same command continues from here."


def stage_names() -> list[str]:
    """List the stages for shell completion; outside of a checkout there are none."""
    try:
        return stages.names()
    except NoCheckout:
        return []


StageName = Annotated[
    str,
    typer.Option(
        "--stage",
        help="A stage of .chalice/config.json.",
        autocompletion=stage_names,
        envvar="STAGE",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Person = Annotated[str, typer.Argument(help="The person's id, or the name of their folder.")]
Rate = Annotated[
    float | None,
    typer.Option(min=0.1, help="Photographs per second (default: the stage's INDEX_RATE)."),
]
Wait = Annotated[
    float,
    typer.Option("--wait", min=0, help="Seconds without progress to wait for indexing."),
]
