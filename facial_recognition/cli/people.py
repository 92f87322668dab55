"""Look up people: who is registered, and what is known of one person."""

from collections.abc import Iterator
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from chalicelib.audit import AuditEntry
from chalicelib.models import PhotographRecord, Status
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.stage import OpenStage

PAGE = 1000


class PersonSummary(Struct, rename="camel"):
    """A person with at least one recorded photograph."""

    person_id: str
    name: str
    photographs: int = 0
    indexed: int = 0
    registered_at: str | None = None
    """When the person's first photograph was registered."""


class PersonPhotograph(Struct, frozen=True, rename="camel"):
    """The record of a photograph."""

    image_key: str
    status: Status
    registered_at: str | None
    consent: str | None
    caller: str | None
    face_ids: list[str]
    reason: str | None


class Event(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An entry of the audit trail."""

    at: str
    event: Literal["registered", "removed", "forgotten"]
    person: str | UnsetType = UNSET
    """Keyed hash of the person's id; only set in everybody's trail."""
    consent: str | None = None
    caller: str | None = None


class PersonDetails(Struct, frozen=True, rename="camel"):
    """Everything that is known of a person."""

    person_id: str
    name: str | None
    """None for a person without photographs."""
    verified_on: str | None
    """Day of the last verification, on stages that record it."""
    photographs: list[PersonPhotograph]
    trail: list[Event]


def people(stage: OpenStage) -> list[PersonSummary]:
    """List everybody, in the order of their ids."""
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


def show(stage: OpenStage, person_id: str) -> PersonDetails:
    """Return everything that is known of a person.

    Raises:
        CannotDo: there is nothing, not even in the audit trail.
    """
    records, faces = stage.records.of_person(person_id)
    trail = [_event(entry) for entry in stage.audit.of_person(person_id)]
    if not records and not trail:
        raise CannotDo(
            f"Nobody is or was registered as {person_id}. faces people lists the ids.",
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


def audit(stage: OpenStage, person_id: str | None) -> list[Event]:
    """List the audit trail, the oldest entry first.

    Args:
        stage: the stage to read.
        person_id: whose trail; None is everybody's.
    """
    if person_id is not None:
        return [_event(entry) for entry in stage.audit.of_person(person_id)]
    entries = sorted(stage.audit.all(), key=lambda entry: entry.entry)
    return [_event(entry, person=entry.person) for entry in entries]


def _event(entry: AuditEntry, person: str | UnsetType = UNSET) -> Event:
    return Event(entry.at, entry.event, person, entry.consent, entry.caller)


def _all_photographs(stage: OpenStage) -> Iterator[PhotographRecord]:
    after = None
    while True:
        photographs, _, after = stage.records.page(None, after, PAGE)
        yield from photographs
        if after is None:
            return
