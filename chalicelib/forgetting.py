"""Forget people: delete their photographs in all versions, their faces and their records.

The audit trail stays. It holds no name, no person id and nothing of a face.
"""

import random
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

from msgspec import Struct

from chalicelib import telemetry
from chalicelib.convergence import Converger
from chalicelib.errors import ServiceUnavailable
from chalicelib.faces import external_image_id, person_of_image_id
from chalicelib.keys import folder_of
from chalicelib.pacing import PacedExecutor
from chalicelib.records import Records
from chalicelib.settings import Settings

BATCH = 100
"""People forgotten together: table and collection are read once for all of them."""
TRIES = 3
"""Tries to forget a batch."""
SPARE_SECONDS = 120.0
"""Time that a batch needs. With less time left, none is started."""
CALLER = "FORGET_AFTER_DAYS"
"""Caller in the audit trail, for people whom the daily run forgets."""


class Traces(Struct, rename="camel"):
    """Number of items that the service holds of a person."""

    versions: int = 0
    """Versions of objects in S3, and delete markers."""
    uploads: int = 0
    """Unfinished multipart uploads in S3."""
    records: int = 0
    """Items of the table."""
    faces: int = 0
    """Faces in the collection."""

    def __bool__(self) -> bool:
        """Return whether there is anything."""
        return any((self.versions, self.uploads, self.records, self.faces))


def traces(converger: Converger, person_ids: Collection[str]) -> dict[str, Traces]:
    """Return the traces of people; this reads the whole table and the whole collection."""
    photographs = converger.photographs
    found = {person_id: Traces() for person_id in person_ids}
    for person_id, of_person in found.items():
        folder = folder_of(person_id)
        of_person.versions = sum(1 for _ in photographs.versions(folder))
        of_person.uploads = sum(1 for _ in photographs.unfinished_uploads(folder))
    for person_id, _, _ in converger.records.items_of(person_ids):
        found[person_id].records += 1
    for _, image_id in converger.faces.of_persons(person_ids):
        found[person_of_image_id(image_id)].faces += 1
    return found


def forget(
    converger: Converger,
    person_ids: Collection[str],
    caller: str,
    executor: PacedExecutor,
    advance: Callable[[int], None] = lambda _: None,
) -> set[str]:
    """Delete everything about people, look again, and add an entry to the audit trail.

    It may be stopped at any point and be called again.

    Args:
        converger: gives access to bucket, table and collection.
        person_ids: the people.
        caller: who wants this, for the audit trail.
        executor: sets the pace.
        advance: called with 1 for each photograph that is gone.

    Returns:
        The people of whom something is left, because it came in meanwhile.
    """
    photographs = converger.photographs
    keys: set[str] = set()
    for person_id in person_ids:
        folder = folder_of(person_id)
        for upload in list(photographs.unfinished_uploads(folder)):
            photographs.abort_upload(upload)
        versions = list(photographs.versions(folder))
        photographs.delete_versions(versions)
        keys |= {version.key for version in versions}

    # The events of the deletions do the same, later. Whoever comes second finds nothing to do.
    def converge(key: str) -> None:
        try:
            converger.converge(key, uuid4().hex)
        except Exception as error:  # the strays are removed below
            telemetry.failure(error)

    with closing(executor.run(converge, sorted(keys))) as outcomes:
        for _ in outcomes:
            advance(1)
    _remove_strays(converger, person_ids)
    left = {person_id for person_id, found in traces(converger, person_ids).items() if found}
    for person_id in person_ids:
        if person_id not in left:
            converger.audit.add_forgotten(person_id, caller)
    return left


def _remove_strays(converger: Converger, person_ids: Collection[str]) -> None:
    """Delete the faces and items that belong to no photograph."""
    faces = list(converger.faces.of_persons(person_ids))
    items = list(converger.records.items_of(person_ids))
    # Photographs are listed last, so that nothing of one that came in meanwhile is deleted.
    present = {
        photograph.key: external_image_id(person_id, photograph.key)
        for person_id in person_ids
        for photograph in converger.photographs.list_all(folder_of(person_id))
    }
    image_ids = set(present.values())
    converger.faces.delete([face_id for face_id, image_id in faces if image_id not in image_ids])
    converger.records.delete_items(id_ for _, id_, key in items if key not in present)


# --- the daily run --------------------------------------------------------------------------


def forget_unverified(
    converger: Converger, settings: Settings, seconds_left: Callable[[], float]
) -> None:
    """Forget the people who were not verified for ``FORGET_AFTER_DAYS`` days.

    If the time runs out, the next call continues. Failures are logged, and the other people are
    forgotten all the same.

    Args:
        converger: gives access to bucket, table and collection.
        settings: hold the number of days.
        seconds_left: returns the time that is left to the call.

    Raises:
        chalicelib.errors.ServiceUnavailable: some people could not be forgotten.
    """
    since = settings.verifications_noted_since
    assert since is not None, "Settings requires it with FORGET_AFTER_DAYS"
    limit = datetime.now(UTC).date() - timedelta(days=settings.forget_after_days)
    work = telemetry.current()
    work.persons_forgotten = work.persons_left = 0
    failed: set[str] = set()
    returned: set[str] = set()
    while since < limit:  # otherwise verifications have not been noted for long enough
        # The table is read again for each batch: somebody due may have been verified meanwhile.
        due = _inactive_since(limit.isoformat(), converger.records) - returned
        work.persons_left = len(due)
        due -= failed
        if not due or seconds_left() < SPARE_SECONDS:
            break
        # A random batch, so that people who cannot be forgotten do not always delay the same ones.
        batch = set(random.sample(sorted(due), min(BATCH, len(due))))
        returned |= {person_id for person_id in batch if _has_returned(person_id, limit, converger)}
        batch -= returned
        left = _forget_batch(converger, batch)
        failed |= left
        work.persons_forgotten += len(batch - left)
    if failed:
        raise ServiceUnavailable(f"Persons who could not be forgotten: {len(failed)}")


def _inactive_since(day: str, records: Records) -> set[str]:
    """Return the people who were last active before a day; needs some 200 bytes for each person."""
    last: dict[str, str] = {}
    for person_id, active in records.active_days():
        last[person_id] = max(active, last.get(person_id, ""))
    return {person_id for person_id, active in last.items() if active < day}


def _has_returned(person_id: str, limit: date, converger: Converger) -> bool:
    """Return whether a person has a new photograph; it may not be indexed yet."""
    photographs = converger.photographs.list_all(folder_of(person_id))
    return any(photograph.day >= limit.isoformat() for photograph in photographs)


def _forget_batch(converger: Converger, person_ids: set[str]) -> set[str]:
    """Forget people; return those who could not be forgotten.

    A failure is retried at once. The next call of the daily run may not find these people any more:
    their records may be deleted already.
    """
    for _ in range(TRIES):
        try:
            return forget(converger, person_ids, CALLER, PacedExecutor())
        except Exception as error:
            telemetry.failure(error)
    return person_ids
