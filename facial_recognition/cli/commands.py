"""The commands: what may be typed, and how their answers read. The work is done elsewhere."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import boto3
import msgspec
import typer

from chalicelib import verification
from chalicelib.keys import PREFIX
from chalicelib.messages import Verification, VerifyRequest
from chalicelib.models import Consent as ConsentVersion
from facial_recognition.cli import (
    INTERRUPTED,
    agreement,
    forgetting,
    people,
    photographs,
    registering,
    transfer,
)
from facial_recognition.cli.display import UTC, Display, moment
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.registering import Failure, person_id_of
from facial_recognition.cli.stage import Stage
from facial_recognition.infra import stages
from facial_recognition.infra.redrive import Queue

if TYPE_CHECKING:
    from facial_recognition.cli.threshold import Recommendation

DONE, FAILED = 0, 1
"""Exit codes: all is well; the answer is no, or part of it failed. Errors are 2."""
PATIENCE = 60.0
GOES_ON = "Interrupted: the same command goes on from here."

app = typer.Typer(
    name="faces",
    help="Run the face recognition service: register, look up, check, move and forget.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _stage_names() -> list[str]:
    return stages.names()


StageName = Annotated[
    str,
    typer.Option(
        "--stage",
        help="A stage of .chalice/config.json.",
        autocompletion=_stage_names,
        envvar="STAGE",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask first.")]
Person = Annotated[str, typer.Argument(help="The person's id, or the folder's name.")]
Rate = Annotated[
    float | None,
    typer.Option(min=0.1, help="Photographs a second (the stage's INDEX_RATE)."),
]
Patience = Annotated[
    float,
    typer.Option("--wait", min=0, help="Seconds without progress to wait for indexing."),
]


@app.command()
def register(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Holds a folder per person.")
    ],
    *,
    consent: Annotated[
        str | None, typer.Option(help="Version of the text that all of them agreed to.")
    ] = None,
    largest: Annotated[
        bool, typer.Option("--largest", help="Of several faces, take the largest.")
    ] = False,
    rate: Rate = None,
    wait: Patience = PATIENCE,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Register photographs, a folder per person; can be stopped and started again."""
    display = Display(as_json=as_json)
    _check(consent, ConsentVersion, "--consent takes letters, digits, dots, - and _, at most 40.")
    opened = Stage(stage)
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
        _show_failures(display, report.failed)
        display.say(
            f"{report.photographs} photographs: {report.registered} registered,"
            f" {report.unchanged} already there, {len(report.failed)} failed,"
            f" {report.waiting} not indexed yet"
            + (f", {report.left} not begun" if report.interrupted else "")
        )
        if report.interrupted:
            display.say(GOES_ON)
        elif report.waiting:
            display.say("Those are indexed later, or by faces check --repair.")
    if report.interrupted:
        return INTERRUPTED
    return FAILED if report.failed or report.waiting else DONE


@app.command()
def verify(
    photograph: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    *,
    person: Annotated[str | None, typer.Option(help="Ask whether it is this person.")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=100, help="Similarity (the stage's setting).")
    ] = None,
    matches: Annotated[int, typer.Option(min=1, max=100, help="How many people to show.")] = 10,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Say whose face a photograph shows; the exit code is 1 if nobody's."""
    display = Display(as_json=as_json)
    opened = Stage(stage)
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
        _show_verification(display, answer)
    return DONE if answer.verified else FAILED


@app.command(name="people")
def people_(stage: StageName = "dev", as_json: Json = False) -> int:
    """List everybody who is registered."""
    display = Display(as_json=as_json)
    found = people.people(Stage(stage))
    if as_json:
        display.json(found)
    else:
        headings = ["person", "name", "photographs", "indexed", f"registered {UTC}"]
        rows = [
            (p.person_id, p.name, p.photographs, p.indexed, moment(p.registered_at)) for p in found
        ]
        display.table(headings, rows)
    return DONE


@app.command()
def show(person: Person, stage: StageName = "dev", as_json: Json = False) -> int:
    """Show what is known of a person: photographs, faces, consent, and the audit trail."""
    display = Display(as_json=as_json)
    found = people.show(Stage(stage), person_id_of(person))
    if as_json:
        display.json(found)
        return DONE
    _show_person(display, found)
    display.say("")
    _show_trail(display, found.trail)
    return DONE


@app.command()
def audit(
    person: Annotated[str | None, typer.Argument(help="As for show; everybody's without.")] = None,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Show who was registered when, with which consent, by whom; and when forgotten."""
    display = Display(as_json=as_json)
    trail = people.audit(Stage(stage), None if person is None else person_id_of(person))
    if as_json:
        display.json(trail)
    else:
        _show_trail(display, trail)
    return DONE


@app.command()
def forget(
    person: Person,
    yes: Yes = False,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Remove a person: photographs with all versions, faces, records; and look that all is gone."""
    display = Display(as_json=as_json)
    person = person_id_of(person)
    opened = Stage(stage)
    found = forgetting.traces(opened, person)
    if not found:
        raise CannotDo(
            f"There is nothing of {person} in stage {stage}; faces people lists the ids.",
            "person_unknown",
        )
    if not yes:
        _confirm(
            f"Forget {person} in stage {stage} for good: {found.versions} versions of photographs,"
            f" {found.records} records, {found.faces} faces?",
            display,
        )
    with display.progress() as progress:
        progress.begin("forgetting", found.records)
        report = forgetting.forget(opened, person, found, progress.advance)
    if as_json:
        display.json(report)
        return DONE
    places = {
        "versions of photographs": "versions",
        "unfinished uploads": "uploads",
        "records": "records",
        "faces": "faces",
        "failed events": "failed_events",
    }
    rows = [(name, getattr(report.removed, field)) for name, field in places.items()]
    display.table(["removed", ""], rows)
    display.say(f"Looked again everywhere: nothing of {person} is left.")
    return DONE


@app.command()
def check(
    repair: Annotated[bool, typer.Option("--repair", help="Bring them to agreement.")] = False,
    yes: Yes = False,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Look whether bucket, table, its index and collection agree; the exit code is 1 if not."""
    display = Display(as_json=as_json)
    opened = Stage(stage)
    repaired = None
    if repair:
        losses = [] if yes else agreement.losses(opened, agreement.check(opened))
        if losses:
            _confirm(f"A repair of stage {stage} would {', and '.join(losses)}. Repair?", display)
        with display.progress() as progress:
            progress.begin("repairing", sum(p.photographs for p in people.people(opened)))
            repaired = agreement.repair(opened, progress.advance)
    report = agreement.check(opened)
    report.repaired = repaired
    if as_json:
        display.json(report)
    else:
        _show_agreement(display, report)
    return FAILED if report.findings or (repaired and repaired.failed) else DONE


@app.command(name="export")
def export_(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="A new folder to fill.")],
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Copy all photographs out of a stage, to be brought into another."""
    display = Display(as_json=as_json)
    with display.progress() as progress:
        report = transfer.export(Stage(stage), folder, progress)
    if as_json:
        display.json(report)
    else:
        if report.interrupted:
            display.say(f"{report.photographs} photographs are in {report.folder}. {GOES_ON}")
            return INTERRUPTED
        display.say(
            f"{report.photographs} photographs of {report.people} people are in {report.folder}"
            f" ({report.unchanged} were before); {report.rejected} without a usable face left out"
        )
        if report.not_kept:
            display.say(f"{report.not_kept} were not kept: their faces cannot be moved.")
        display.say("It holds biometric data: keep it safe, and delete it when it is moved.")
    return INTERRUPTED if report.interrupted else DONE


@app.command(name="import")
def import_(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="As faces export made it.")
    ],
    rate: Rate = None,
    wait: Patience = PATIENCE,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Bring exported photographs into a stage, where their faces are indexed anew."""
    display = Display(as_json=as_json)
    opened = Stage(stage)
    with display.progress() as progress:
        report = transfer.bring_in(
            opened,
            folder,
            rate=rate or opened.settings.index_rate,
            patience=wait,
            progress=progress,
        )
    if as_json:
        display.json(report)
    else:
        _show_failures(display, report.failed)
        display.say(
            f"{report.photographs} photographs: {report.indexed} indexed,"
            f" {report.unchanged} already there, {len(report.failed)} failed,"
            f" {report.waiting} not indexed yet"
        )
        if report.interrupted:
            display.say(GOES_ON)
    if report.interrupted:
        return INTERRUPTED
    return FAILED if report.failed or report.waiting else DONE


@app.command()
def threshold(
    *,
    photos: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Holds a folder per person.")
    ],
    false_accepts: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="Wanted share of strangers accepted.")
    ] = 0.001,
    at: Annotated[
        float | None, typer.Option(min=0, max=100, help="Judge this threshold too (the stage's).")
    ] = None,
    plot: Annotated[Path, typer.Option(dir_okay=False, help="PNG or SVG to draw into.")] = Path(
        "threshold.png"
    ),
    rate: Rate = None,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Recommend a threshold, measured on photographs of your own; takes two calls for each."""
    _check_plot(plot)  # before it is measured, which costs money
    from facial_recognition.cli.plot import draw  # noqa: PLC0415 - matplotlib, numpy and scipy take a second
    from facial_recognition.cli.threshold import measure, recommend  # noqa: PLC0415

    display = Display(as_json=as_json)
    opened = Stage(stage)
    with display.progress() as progress:
        people, similarities, failed = measure(
            opened, photos, rate=rate or opened.settings.index_rate, progress=progress
        )
    asked = opened.settings.face_match_threshold if at is None else at
    report = recommend(people, similarities, failed, wanted=false_accepts, at=asked)
    if as_json:
        display.json(report)
    else:
        _show_recommendation(display, report)
    draw(similarities, report.recommended, false_accepts, plot)
    if not as_json:
        display.say(f"drawn into {plot}")
    return FAILED if report.recommended is None else DONE


@app.command()
def redrive(
    only_list: Annotated[bool, typer.Option("--list", help="Only show them.")] = False,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Put the events that no try could handle through again."""
    display = Display(as_json=as_json)
    queue = Queue(boto3.Session(), Stage(stage).settings.failed_events_queue)
    events = []
    for event in queue.receive():
        events.append(event)
        if not only_list:
            queue.redrive(event)
    if only_list:
        for event in events:
            queue.put_back(event)
    if as_json:
        display.json(
            [
                {"time": e.time, "function": e.function_name, "keys": e.keys, "error": e.error}
                for e in events
            ]
        )
    else:
        for event in events:
            keys = " ".join(event.keys)
            display.say(f"{event.time} {event.function_name} {keys} - {event.error}")
        done = "in the queue" if only_list else "put through again"
        display.say(f"{len(events)} events {done}")
    return DONE


def _check(value: object, kind: object, otherwise: str) -> None:
    if value is not None:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            raise CannotDo(otherwise, "malformed_request") from None


def _check_plot(path: Path) -> None:
    if path.suffix.lower() not in (".png", ".svg"):
        raise CannotDo(f"{path} is to end in .png or .svg.", "plot")
    if not os.access(path.parent, os.W_OK):
        raise CannotDo(f"{path.parent} is no folder that can be written to.", "plot")


def _confirm(question: str, display: Display) -> None:
    """Ask whoever sits there; a program is told the question and that it takes --yes."""
    if display.as_json or not sys.stdin.isatty():
        raise CannotDo(f"{question} Nobody is there to confirm: add --yes.", "not_confirmed")
    display.ask(f"{question} [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CannotDo("Nothing was changed.", "not_confirmed")


def _show_failures(display: Display, failures: list[Failure]) -> None:
    for failure in failures:
        display.say(f"{failure.photograph}: {failure.detail} ({failure.code})")


def _show_verification(display: Display, answer: Verification) -> None:
    if not answer.matches:
        display.say(f"nobody, at threshold {answer.threshold:g}")
        return
    rows = [
        (m.person_id, m.name, f"{m.similarity:.2f}", _file_of(m.image_key)) for m in answer.matches
    ]
    display.table(["person", "name", "similarity", "photograph"], rows)


def _file_of(key: str) -> str:
    """Return what is left of a photograph's key beside the person's id."""
    return key.removeprefix(PREFIX).partition("/")[2]


def _show_person(display: Display, found: people.PersonDetails) -> None:
    name = found.name
    if not found.photographs:
        is_forgotten = found.trail[-1].event == "forgotten"
        name = "(forgotten)" if is_forgotten else "(no photographs now)"
    display.say(f"{found.person_id}  {name or ''}")
    if found.verified_on:
        display.say(f"last verified on {found.verified_on}")
    for photograph in found.photographs:
        display.say("")
        display.say(_file_of(photograph.image_key))
        about = {
            photograph.reason or photograph.status: f"{moment(photograph.registered_at)} {UTC}",
            "consent": photograph.consent,
            "caller": photograph.caller,
            "face": " ".join(photograph.face_ids),
        }
        for what, value in about.items():
            if value:
                display.say(f"  {what} {value}")


def _show_trail(display: Display, trail: list[people.Event]) -> None:
    everybody = any(event.person is not msgspec.UNSET for event in trail)
    headings = [f"when {UTC}", "what", "consent", "caller"]
    rows: list[tuple[object, ...]] = [(moment(e.at), e.event, e.consent, e.caller) for e in trail]
    if everybody:
        headings.append("person (hash)")
        rows = [(*row, event.person) for row, event in zip(rows, trail, strict=True)]
    display.table(headings, rows)


def _show_recommendation(display: Display, report: "Recommendation") -> None:
    _show_failures(display, report.failed)
    display.say(f"{report.photographs} photographs of {report.people} people")
    measured = [("asked about", report.at)]
    if report.recommended is not None:
        measured.insert(0, ("recommended", report.recommended))
    rows: list[tuple[str, ...]] = [
        ("threshold", *(f"{rates.threshold:g}" for _, rates in measured))
    ]
    for kind in ("false accepts", "false rejects"):
        found = [
            rates.false_accepts if kind == "false accepts" else rates.false_rejects
            for _, rates in measured
        ]
        rows += [
            (kind, *(f"{rate.errors} of {rate.pairs}" for rate in found)),
            ("  rate", *(f"{rate.rate:.2g}" for rate in found)),
            ("  between", *(f"{rate.low:.2g} and {rate.high:.2g}" for rate in found)),
        ]
    display.table(["", *(name for name, _ in measured)], rows)
    display.say(
        f"Each bound holds with {report.confidence:.0%} confidence for people like these; since"
        f" pairs share people, {report.impostor_design_effect:.1f} pairs of two people and"
        f" {report.genuine_design_effect:.1f} of one count as one."
    )
    if report.people < report.least_people:
        display.say(
            f"{report.people} people tell too little of others to recommend a threshold, or to"
            f" trust these bounds: take photographs of {report.least_people} at least."
        )
    elif report.recommended is None:
        display.say(
            f"These photographs can show no false accept rate below {report.lowest_rate:.2g};"
            f" for {report.wanted:g} take photographs of more people."
        )


def _show_agreement(display: Display, report: agreement.Agreement) -> None:
    if report.repaired is not None:
        done = report.repaired
        display.say(
            f"repaired: {done.indexed} photographs indexed, {done.removed} that were gone"
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
        display.say("Put it right with faces check --repair.")
