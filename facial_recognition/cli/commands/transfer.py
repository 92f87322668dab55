"""``faces export`` and ``import``."""

from pathlib import Path
from typing import Annotated

import typer

from facial_recognition.cli import transfer
from facial_recognition.cli.commands.options import CONTINUES, WAIT, Json, Rate, StageName, Wait
from facial_recognition.cli.display import Display
from facial_recognition.cli.exit_codes import DONE, FAILED, INTERRUPTED
from facial_recognition.cli.stage import OpenStage
from facial_recognition.cli.transfer import Export, Import


def export(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="A new folder to fill.")],
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Copy the photographs of a stage into a folder, for an import."""
    display = Display(as_json=as_json)
    with display.progress() as progress:
        report = transfer.export(OpenStage(stage), folder, progress)
    if as_json:
        display.json(report)
    else:
        _show_export(display, report)
    return INTERRUPTED if report.interrupted else DONE


def import_(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="A folder that faces export made.")
    ],
    rate: Rate = None,
    wait: Wait = WAIT,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Import exported photographs. The stage indexes their faces."""
    display = Display(as_json=as_json)
    opened = OpenStage(stage)
    with display.progress() as progress:
        report = transfer.import_folder(
            opened,
            folder,
            rate=rate or opened.settings.index_rate,
            patience=wait,
            progress=progress,
        )
    if as_json:
        display.json(report)
    else:
        _show_import(display, report)
    if report.interrupted:
        return INTERRUPTED
    return FAILED if report.failed or report.waiting else DONE


def _show_export(display: Display, report: Export) -> None:
    if report.interrupted:
        display.say(f"{report.photographs} photographs are in {report.folder}. {CONTINUES}")
        return
    display.say(
        f"{report.photographs} photographs of {report.people} people are in {report.folder}"
        f" ({report.unchanged} were there before); {report.rejected} without a usable face left out"
    )
    if report.not_kept:
        display.say(
            f"The stage has not kept {report.not_kept} photographs: their faces cannot be moved."
        )
    display.say("The folder holds biometric data. Keep it safe, and delete it after the import.")


def _show_import(display: Display, report: Import) -> None:
    display.failures(report.failed)
    display.say(
        f"{report.photographs} photographs: {report.indexed} indexed,"
        f" {report.unchanged} stored before, {len(report.failed)} failed,"
        f" {report.waiting} not indexed yet"
    )
    if report.interrupted:
        display.say(CONTINUES)
