"""Forget persons: photographs in all their versions, faces and records.

What stays is the audit trail, which holds no name, no person id and nothing of a face.
"""

import random
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from msgspec import Struct

from chalicelib import telemetry
from chalicelib.convergence import Converger
from chalicelib.errors import ServiceUnavailable
from chalicelib.settings import Settings
from chalicelib.storage import PhotographRecord, folder_of

BATCH = 100
"""Persons forgotten together, so that table and collection are walked through once for them."""
AT_ONCE = 8
SPARE_SECONDS = 120.0
"""Time within which a batch is forgotten; with less of it left, none is begun."""
CALLER = "FORGET_AFTER_DAYS"
"""By whom the audit trail says that somebody was forgotten whom nobody asked to forget."""


class Traces(Struct, rename="camel"):
    """How much there is of persons, place by place."""

    versions: int = 0
    """Of objects in S3, and marks of those deleted."""
    uploads: int = 0
    """That have begun in S3 and not ended."""
    records: int = 0
    """Items of the table."""
    faces: int = 0
    """In the collection."""

    def __bool__(self) -> bool:
        """Say whether there is anything."""
        return any((self.versions, self.uploads, self.records, self.faces))


class NotQuiet(ServiceUnavailable):
    """Something of a person came while the person was forgotten: do it again."""


def traces(converger: Converger, person_ids: Collection[str]) -> Traces:
    """Look everywhere for persons: at all versions, the whole table, the whole collection."""
    photographs = converger.photographs
    folders = [folder_of(person_id) for person_id in person_ids]
    return Traces(
        versions=sum(1 for folder in folders for _ in photographs.versions(folder)),
        uploads=sum(1 for folder in folders for _ in photographs.unfinished_uploads(folder)),
        records=len(converger.records.naming(person_ids)),
        faces=sum(1 for _ in converger.faces.of_persons(person_ids)),
    )


def forget(
    converger: Converger,
    person_ids: Collection[str],
    caller: str,
    work: "Callable[[Callable[[str], None], list[str]], object]",
) -> None:
    """Remove all that there is of persons, look again, and note it in the audit trail.

    It may be stopped at any point and be called again.

    Args:
        converger: where.
        person_ids: who.
        caller: who wants it, for the audit trail.
        work: calls a function with each of some keys, perhaps several at once.

    Raises:
        NotQuiet: something came while it was removed.
        chalicelib.errors.ServiceUnavailable: others kept being at work on a photograph.
    """
    photographs, records, faces = converger.photographs, converger.records, converger.faces
    prefix = PhotographRecord.id_of("")
    recorded = records.naming(person_ids)
    keys = {id_.removeprefix(prefix) for id_ in recorded if id_.startswith(prefix)}
    for person_id in person_ids:
        folder = folder_of(person_id)
        for upload in list(photographs.unfinished_uploads(folder)):
            photographs.abort(upload)
        versions = list(photographs.versions(folder))
        photographs.delete(versions)
        keys |= {version.key for version in versions}

    # The events of the removals bring the same about, later: whoever comes second finds it done.
    def converge(key: str) -> None:
        converger.converge(key, uuid4().hex)

    work(converge, sorted(keys))
    # What no photograph accounts for, in a system that was not in agreement before.
    faces.forget(list(faces.of_persons(person_ids)))
    records.delete(records.naming(person_ids))
    if traces(converger, person_ids):
        raise NotQuiet("Something came in while it was being removed: do it again.")
    for person_id in person_ids:
        converger.audit.forgotten(person_id, caller)


# --- whoever was not verified for long ------------------------------------------------------


def forget_unverified(
    converger: Converger, settings: Settings, seconds_left: Callable[[], float]
) -> None:
    """Forget whom no photograph was verified as for as many days as the settings say.

    What is not done when the time runs out, is done by the next call. What failed is logged, and
    the others are forgotten all the same.

    Args:
        converger: where.
        settings: after how many days.
        seconds_left: tells how long this may still go on.

    Raises:
        chalicelib.errors.ServiceUnavailable: not all could be forgotten.
    """
    work = telemetry.current()
    work.persons_forgotten = 0
    failed: set[str] = set()
    while True:  # looked at anew for each batch: somebody may just have come after all
        due = _unverified(converger, settings)
        work.persons_left = len(due)
        due = [person_id for person_id in due if person_id not in failed]
        if not due or seconds_left() < SPARE_SECONDS:
            break
        # By chance, so that who cannot be forgotten does not keep the same others waiting.
        batch = random.sample(due, min(BATCH, len(due)))
        try:
            forget(converger, batch, CALLER, _several_at_once)
        except Exception as error:
            telemetry.failure(error)
            failed.update(batch)
        else:
            work.persons_forgotten += len(batch)
    if failed:
        raise ServiceUnavailable(f"Persons who could not be forgotten: {len(failed)}")


def _unverified(converger: Converger, settings: Settings) -> list[str]:
    """Return the persons of whom all that is known is old. It takes some 200 bytes a person."""
    since = settings.verifications_noted_since
    assert since is not None, "the settings say so"
    limit = datetime.now(UTC).date() - timedelta(days=settings.forget_after_days)
    if since >= limit:  # before that day verifications were not noted
        return []
    last: dict[str, str] = {}
    for person_id, day in converger.records.days():
        last[person_id] = max(day, last.get(person_id, ""))
    return [person_id for person_id, day in last.items() if day < limit.isoformat()]


def _several_at_once(converge: Callable[[str], None], keys: list[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for done in [threads.submit(telemetry.carried(converge), key) for key in keys]:
            done.result()
