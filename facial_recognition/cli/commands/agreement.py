"""``faces check``."""

from typing import Annotated

import typer

from facial_recognition.cli import agreement, people
from facial_recognition.cli.agreement import Agreement
from facial_recognition.cli.commands.options import Json, StageName, Yes
from facial_recognition.cli.display import Display
from facial_recognition.cli.exit_codes import DONE, FAILED
from facial_recognition.cli.stage import OpenStage


def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Index what is missing, and remove strays.")
    ] = False,
    yes: Yes = False,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Check that bucket, table, its index and collection agree. The exit code is 1 if not."""
    display = Display(as_json=as_json)
    opened = OpenStage(stage)
    repaired = None
    if repair:
        losses = [] if yes else agreement.losses(opened, agreement.check(opened))
        if losses:
            display.confirm(f"A repair of stage {stage} would {', and '.join(losses)}. Repair it?")
        with display.progress() as progress:
            progress.start("repairing", sum(p.photographs for p in people.people(opened)))
            repaired = agreement.repair(opened, progress.advance)
    report = agreement.check(opened)
    report.repaired = repaired
    if as_json:
        display.json(report)
    else:
        _show(display, report)
    return FAILED if report.findings or (repaired and repaired.failed) else DONE


def _show(display: Display, report: Agreement) -> None:
    if report.repaired is not None:
        done = report.repaired
        display.say(
            f"repaired: {done.indexed} photographs indexed, {done.removed} missing photographs"
            f" forgotten, {done.faces} stray faces and {done.records} stray records removed,"
            f" {len(done.failed)} photographs failed"
        )
        for failed in done.failed:
            display.say(f"{failed.image_key}: {failed.detail} ({failed.code})")
    for finding in report.findings:
        display.say(f"{finding.subject}: {agreement.MEANINGS[finding.kind]} ({finding.kind})")
    display.say(
        f"{report.photographs} photographs, {report.records} records, {report.faces} faces: "
        + (f"{len(report.findings)} do not fit together" if report.findings else "in agreement")
    )
    if report.findings and report.repaired is None:
        display.say("faces check --repair corrects this.")
