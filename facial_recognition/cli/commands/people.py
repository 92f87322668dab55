"""``faces people``, ``show``, ``audit`` and ``forget``."""

from typing import Annotated

import msgspec
import typer

from facial_recognition.cli import forgetting, people
from facial_recognition.cli.commands.options import Json, Person, StageName, Yes
from facial_recognition.cli.display import UTC, Display, moment
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.exit_codes import DONE
from facial_recognition.cli.people import Event, PersonDetails
from facial_recognition.cli.photographs import file_name
from facial_recognition.cli.registering import person_id_of
from facial_recognition.cli.stage import OpenStage


def list_people(stage: StageName = "dev", as_json: Json = False) -> int:
    """List everybody who is registered."""
    display = Display(as_json=as_json)
    found = people.people(OpenStage(stage))
    if as_json:
        display.json(found)
    else:
        headings = ["person", "name", "photographs", "indexed", f"registered {UTC}"]
        rows = [
            (p.person_id, p.name, p.photographs, p.indexed, moment(p.registered_at)) for p in found
        ]
        display.table(headings, rows)
    return DONE


def show(person: Person, stage: StageName = "dev", as_json: Json = False) -> int:
    """Show a person: photographs, faces, consent and audit trail."""
    display = Display(as_json=as_json)
    found = people.show(OpenStage(stage), person_id_of(person))
    if as_json:
        display.json(found)
        return DONE
    _show_person(display, found)
    display.say("")
    _show_trail(display, found.trail)
    return DONE


def audit(
    person: Annotated[
        str | None, typer.Argument(help="As for show. Without it, everybody's trail is shown.")
    ] = None,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Show the audit trail. It tells who was registered and forgotten, and with which consent."""
    display = Display(as_json=as_json)
    trail = people.audit(OpenStage(stage), None if person is None else person_id_of(person))
    if as_json:
        display.json(trail)
    else:
        _show_trail(display, trail)
    return DONE


def forget(
    person: Person,
    yes: Yes = False,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Forget a person. Photographs with all versions, faces and records are removed for good."""
    display = Display(as_json=as_json)
    person = person_id_of(person)
    opened = OpenStage(stage)
    found = forgetting.traces(opened, person)
    if not found:
        raise CannotDo(
            f"Stage {stage} has nothing of {person}. faces people lists the ids.",
            "person_unknown",
        )
    if not yes:
        display.confirm(
            f"Forget {person} in stage {stage} for good: {found.versions} versions of photographs,"
            f" {found.records} records, {found.faces} faces?"
        )
    with display.progress() as progress:
        progress.start("forgetting", found.records)
        report = forgetting.forget(opened, person, found, progress.advance)
    if as_json:
        display.json(report)
        return DONE
    removed = report.removed
    rows = [
        ("versions of photographs", removed.versions),
        ("unfinished uploads", removed.uploads),
        ("records", removed.records),
        ("faces", removed.faces),
        ("failed events", removed.failed_events),
    ]
    display.table(["removed", ""], rows)
    display.say(f"A second look everywhere found nothing of {person}.")
    return DONE


def _show_person(display: Display, found: PersonDetails) -> None:
    name = found.name
    if not found.photographs:
        is_forgotten = found.trail[-1].event == "forgotten"
        name = "(forgotten)" if is_forgotten else "(no photographs now)"
    display.say(f"{found.person_id}  {name or ''}")
    if found.verified_on:
        display.say(f"last verified on {found.verified_on}")
    for photograph in found.photographs:
        display.say("")
        display.say(file_name(photograph.image_key))
        facts = {
            photograph.reason or photograph.status: f"{moment(photograph.registered_at)} {UTC}",
            "consent": photograph.consent,
            "caller": photograph.caller,
            "face": " ".join(photograph.face_ids),
        }
        for label, value in facts.items():
            if value:
                display.say(f"  {label} {value}")


def _show_trail(display: Display, trail: list[Event]) -> None:
    is_everybodys = any(event.person is not msgspec.UNSET for event in trail)
    headings = [f"when {UTC}", "event", "consent", "caller"]
    rows: list[tuple[object, ...]] = [(moment(e.at), e.event, e.consent, e.caller) for e in trail]
    if is_everybodys:
        headings.append("person (hash)")
        rows = [(*row, event.person) for row, event in zip(rows, trail, strict=True)]
    display.table(headings, rows)
