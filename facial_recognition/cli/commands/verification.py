"""``faces verify``."""

from pathlib import Path
from typing import Annotated

import typer

from chalicelib import verification
from chalicelib.messages import Verification, VerifyRequest
from facial_recognition.cli import photographs
from facial_recognition.cli.commands.options import Json, StageName
from facial_recognition.cli.display import Display
from facial_recognition.cli.exit_codes import DONE, FAILED
from facial_recognition.cli.photographs import file_name
from facial_recognition.cli.registering import person_id_of
from facial_recognition.cli.stage import OpenStage


def verify(
    photograph: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    *,
    person: Annotated[str | None, typer.Option(help="Ask whether it is this person.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Similarity (default: the stage's setting)."),
    ] = None,
    matches: Annotated[int, typer.Option(min=1, max=100, help="How many people to show.")] = 10,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Name the person whose face a photograph shows. The exit code is 1 if it is nobody's."""
    display = Display(as_json=as_json)
    opened = OpenStage(stage)
    request = VerifyRequest(
        image=photographs.read(photograph),
        person_id=None if person is None else person_id_of(person),
        threshold=threshold,
        max_matches=matches,
    )
    answer = verification.verify(request, opened.records, opened.faces, opened.settings)
    if as_json:
        display.json(answer)
    else:
        _show(display, answer)
    return DONE if answer.verified else FAILED


def _show(display: Display, answer: Verification) -> None:
    if not answer.matches:
        display.say(f"nobody, at threshold {answer.threshold:g}")
        return
    rows = [
        (m.person_id, m.name, f"{m.similarity:.2f}", file_name(m.image_key)) for m in answer.matches
    ]
    display.table(["person", "name", "similarity", "photograph"], rows)
