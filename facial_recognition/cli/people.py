"""Who is registered, and what is kept of one person."""

from collections.abc import Iterator
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from chalicelib.audit import AuditEntry
from chalicelib.records import PhotographRecord, Status
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.stage import Stage

PAGE = 1000


class PersonSummary(Struct, rename="camel"):
    """A person of whom anything is recorded."""

    person_id: str
    name: str
    photographs: int = 0
    indexed: int = 0
    registered_at: str | None = None
    """When the first of the photographs was."""


class PersonPhotograph(Struct, frozen=True, rename="camel"):
    """What is recorded of a photograph."""

    image_key: str
    status: Status
    registered_at: str | None
    consent: str | None
    caller: str | None
    face_ids: list[str]
    reason: str | None


class Event(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An entry of the audit trail, for people who know whose it is."""

    at: str
    event: Literal["registered", "removed", "forgotten"]
    person: str | UnsetType = UNSET
    """Keyed hash of the person id, where everybody's trail is shown."""
    consent: str | None = None
    caller: str | None = None


class PersonDetails(Struct, frozen=True, rename="camel"):
    """All that is known of a person."""

    person_id: str
    name: str | None
    """None of one of whom there is no photograph now."""
    verified_on: str | None
    """Day of the last verification, where the stage notes it."""
    photographs: list[PersonPhotograph]
    trail: list[Event]


def people(stage: Stage) -> list[PersonSummary]:
    """List everybody, in order of their ids."""
    found: dict[str, PersonSummary] = {}
    for record in _all_photographs(stage):
        if record.person_id is None:
            continue
        name = record.name or record.person_id
        person = found.setdefault(record.person_id, PersonSummary(record.person_id, name))
        person.photographs += 1
        person.indexed += record.status == "indexed"
        if record.registered_at:
            person.registered_at = min(
                person.registered_at or record.registered_at, record.registered_at
            )
    return sorted(found.values(), key=lambda person: person.person_id)


def show(stage: Stage, person_id: str) -> PersonDetails:
    """Say all that is known of a person.

    Raises:
        CannotDo: nothing is, and nothing ever was.
    """
    records, faces = stage.records.of_person(person_id)
    trail = [_event(entry) for entry in stage.audit.of_person(person_id)]
    if not records and not trail:
        raise CannotDo(
            f"Nobody is or was registered as {person_id}; faces people lists the ids.",
            "person_unknown",
        )
    names = {record.name: None for record in records if record.name}
    photographs = [
        PersonPhotograph(
            record.image_key,
            record.status,
            record.registered_at,
            record.consent,
            record.caller,
            record.face_ids,
            record.reason,
        )
        for record in records
    ]
    verified_on = max((face.verified_on for face in faces if face.verified_on), default=None)
    return PersonDetails(person_id, next(iter(names), None), verified_on, photographs, trail)


def audit(stage: Stage, person_id: str | None) -> list[Event]:
    """List the audit trail of a person, or everybody's, the oldest entry first."""
    if person_id is not None:
        return [_event(entry) for entry in stage.audit.of_person(person_id)]
    entries = sorted(stage.audit.all(), key=lambda entry: entry.entry)
    return [_event(entry, person=entry.person) for entry in entries]


def _event(entry: AuditEntry, person: str | UnsetType = UNSET) -> Event:
    return Event(entry.at, entry.event, person, entry.consent, entry.caller)


def _all_photographs(stage: Stage) -> Iterator[PhotographRecord]:
    after = None
    while True:
        photographs, _, after = stage.records.page(None, after, PAGE)
        yield from photographs
        if after is None:
            return
