"""Forget persons: photographs in all their versions, faces and records.

What stays is the audit trail, which holds no name, no person id and nothing of a face.
"""

import random
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

from msgspec import Struct

from chalicelib import telemetry
from chalicelib.convergence import Converger
from chalicelib.errors import ServiceUnavailable
from chalicelib.faces import external_image_id, whose
from chalicelib.settings import Settings
from chalicelib.storage import Records, folder_of

BATCH = 100
"""Persons forgotten together, so that table and collection are walked through once for them."""
AT_ONCE = 8
TRIES = 3
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


def traces(converger: Converger, person_ids: Collection[str]) -> dict[str, Traces]:
    """Look everywhere for persons: at all versions, the whole table, the whole collection."""
    photographs = converger.photographs
    found = {person_id: Traces() for person_id in person_ids}
    for person_id, of_person in found.items():
        folder = folder_of(person_id)
        of_person.versions = sum(1 for _ in photographs.versions(folder))
        of_person.uploads = sum(1 for _ in photographs.unfinished_uploads(folder))
    for person_id, _, _ in converger.records.naming(person_ids):
        found[person_id].records += 1
    for _, external in converger.faces.of_persons(person_ids):
        found[whose(external)].faces += 1
    return found


def forget(
    converger: Converger,
    person_ids: Collection[str],
    caller: str,
    work: "Callable[[Callable[[str], None], list[str]], object]",
) -> set[str]:
    """Remove all that there is of persons, look again, and note it in the audit trail.

    It may be stopped at any point and be called again.

    Args:
        converger: where.
        person_ids: who.
        caller: who wants it, for the audit trail.
        work: calls a function with each of some keys, perhaps several at once.

    Returns:
        Those of whom something is left, because it came while the rest was removed.
    """
    photographs = converger.photographs
    keys: set[str] = set()
    for person_id in person_ids:
        folder = folder_of(person_id)
        for upload in list(photographs.unfinished_uploads(folder)):
            photographs.abort(upload)
        versions = list(photographs.versions(folder))
        photographs.delete(versions)
        keys |= {version.key for version in versions}

    # The events of the removals bring the same about, later: whoever comes second finds it done.
    def converge(key: str) -> None:
        try:
            converger.converge(key, uuid4().hex)
        except Exception as error:  # what it leaves is removed all the same
            telemetry.failure(error)

    work(converge, sorted(keys))
    _remove_strays(converger, person_ids)
    left = {person_id for person_id, found in traces(converger, person_ids).items() if found}
    for person_id in person_ids:
        if person_id not in left:
            converger.audit.forgotten(person_id, caller)
    return left


def _remove_strays(converger: Converger, person_ids: Collection[str]) -> None:
    """Remove what no photograph accounts for."""
    faces = list(converger.faces.of_persons(person_ids))
    items = list(converger.records.naming(person_ids))
    # Looked for last, so that nothing is removed of a photograph that has come meanwhile.
    present = {
        photograph.key: external_image_id(person_id, photograph.key)
        for person_id in person_ids
        for photograph in converger.photographs.below(folder_of(person_id))
    }
    accounted = set(present.values())
    converger.faces.forget([face_id for face_id, name in faces if name not in accounted])
    converger.records.delete(id_ for _, id_, key in items if key not in present)


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
    since = settings.verifications_noted_since
    assert since is not None, "the settings say so"
    limit = datetime.now(UTC).date() - timedelta(days=settings.forget_after_days)
    work = telemetry.current()
    work.persons_forgotten = work.persons_left = 0
    failed: set[str] = set()
    come: set[str] = set()
    while since < limit:  # before that day verifications were not noted
        # Looked at anew for each batch: somebody may just have come after all.
        due = _last_seen_before(limit.isoformat(), converger.records) - come
        work.persons_left = len(due)
        due -= failed
        if not due or seconds_left() < SPARE_SECONDS:
            break
        # By chance, so that who cannot be forgotten does not keep the same others waiting.
        batch = set(random.sample(sorted(due), min(BATCH, len(due))))
        come |= {person_id for person_id in batch if _has_come(person_id, limit, converger)}
        batch -= come
        left = _forget_batch(converger, batch)
        failed |= left
        work.persons_forgotten += len(batch - left)
    if failed:
        raise ServiceUnavailable(f"Persons who could not be forgotten: {len(failed)}")


def _last_seen_before(day: str, records: Records) -> set[str]:
    """Return the persons of whom all that is recorded is older; some 200 bytes for each person."""
    last: dict[str, str] = {}
    for person_id, seen in records.days():
        last[person_id] = max(seen, last.get(person_id, ""))
    return {person_id for person_id, seen in last.items() if seen < day}


def _has_come(person_id: str, limit: date, converger: Converger) -> bool:
    """Say whether a person has a new photograph, which may not be indexed yet."""
    photographs = converger.photographs.below(folder_of(person_id))
    return any(photograph.day >= limit.isoformat() for photograph in photographs)


def _forget_batch(converger: Converger, person_ids: set[str]) -> set[str]:
    """Forget persons; return those who could not be forgotten.

    It is done again at once when it fails: by then nothing may be recorded of them any more by
    which the next call would know them.
    """
    for _ in range(TRIES):
        try:
            return forget(converger, person_ids, CALLER, _several_at_once)
        except Exception as error:
            telemetry.failure(error)
    return person_ids


def _several_at_once(converge: Callable[[str], None], keys: list[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for done in [threads.submit(telemetry.carried(converge), key) for key in keys]:
            done.result()
