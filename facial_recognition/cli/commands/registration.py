"""``faces register``."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from chalicelib.models import Consent
from facial_recognition.cli import registering
from facial_recognition.cli.commands.options import CONTINUES, WAIT, Json, Rate, StageName, Wait
from facial_recognition.cli.display import Display
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.exit_codes import DONE, FAILED, INTERRUPTED
from facial_recognition.cli.registering import Registration
from facial_recognition.cli.stage import OpenStage


def register(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Contains a folder per person.")
    ],
    *,
    consent: Annotated[
        str | None, typer.Option(help="Version of the text that all of them agreed to.")
    ] = None,
    largest: Annotated[
        bool,
        typer.Option("--largest", help="Take the largest of several faces in a photograph."),
    ] = False,
    rate: Rate = None,
    wait: Wait = WAIT,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Register photographs, a folder per person. It continues where it was stopped."""
    display = Display(as_json=as_json)
    _check_consent(consent)
    opened = OpenStage(stage)
    with display.progress() as progress:
        report = registering.register_folder(
            opened,
            folder,
            consent=consent,
            largest=largest,
            rate=rate or opened.settings.index_rate,
            patience=wait,
            progress=progress,
        )
    if as_json:
        display.json(report)
    else:
        _show(display, report)
    if report.interrupted:
        return INTERRUPTED
    return FAILED if report.failed or report.waiting else DONE


def _check_consent(consent: str | None) -> None:
    if consent is None:
        return
    try:
        msgspec.convert(consent, Consent)
    except msgspec.ValidationError:
        raise CannotDo(
            "--consent takes at most 40 letters, digits, dots, - and _.", "malformed_request"
        ) from None


def _show(display: Display, report: Registration) -> None:
    display.failures(report.failed)
    display.say(
        f"{report.photographs} photographs: {report.registered} registered,"
        f" {report.unchanged} registered before, {len(report.failed)} failed,"
        f" {report.waiting} not indexed yet"
        + (f", {report.left} not started" if report.interrupted else "")
    )
    if report.interrupted:
        display.say(CONTINUES)
    elif report.waiting:
        display.say("The service indexes those later; faces check --repair does it now.")
