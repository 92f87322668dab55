"""Forget a person: photographs in all their versions, faces, records; and look that all is gone.

What stays is the audit trail, which holds no name, no person id and nothing of a face.
"""

from collections.abc import Callable
from contextlib import closing
from uuid import uuid4

import boto3
from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib.storage import PhotographRecord, folder_of
from infra.redrive import Queue
from operations.errors import CannotDo
from operations.pacing import Pace
from operations.stage import Stage

RATE = 100.0
"""Photographs begun per second: none of them is indexed."""


class Traces(Struct, rename="camel"):
    """How much there is of a person, place by place."""

    versions: int = 0
    """Of objects in S3, and marks of those deleted."""
    uploads: int = 0
    """That have begun in S3 and not ended."""
    records: int = 0
    """Items of the table."""
    faces: int = 0
    """In the collection."""
    failed_events: int = 0
    """In the queue; each holds the key of a photograph."""

    def __bool__(self) -> bool:
        """Say whether there is anything."""
        return any((self.versions, self.uploads, self.records, self.faces, self.failed_events))


class Forgotten(Struct, frozen=True, rename="camel"):
    """What was removed of a person, and what a second look found left."""

    person_id: str
    removed: Traces
    left: Traces


def traces(stage: Stage, person_id: str) -> Traces:
    """Look everywhere for a person: at all versions, the whole table, the whole collection.

    Not in the queue of failed events, which cannot be looked through without taking from it.
    """
    folder = folder_of(person_id)
    return Traces(
        versions=sum(1 for _ in stage.photographs.versions(folder)),
        uploads=sum(1 for _ in stage.photographs.unfinished_uploads(folder)),
        records=len(stage.records.naming(person_id)),
        faces=sum(1 for _ in stage.faces.of_person(person_id)),
    )


def forget(
    stage: Stage, person_id: str, found: Traces, advance: Callable[[int], None]
) -> Forgotten:
    """Remove all that there is of a person, and look again.

    It may be stopped at any point and be called again.

    Args:
        stage: where.
        person_id: who.
        found: what :func:`traces` has found.
        advance: told of each photograph that is gone.

    Raises:
        CannotDo: something came while it was removed.
        chalicelib.errors.ServiceUnavailable: others kept being at work on a photograph.
    """
    operator = stage.operator
    folder = folder_of(person_id)
    for upload in list(stage.photographs.unfinished_uploads(folder)):
        stage.photographs.abort(upload)
    versions = list(stage.photographs.versions(folder))
    stage.photographs.delete(versions)
    recorded = stage.records.naming(person_id)
    prefix = PhotographRecord.id_of("")
    keys = {id_.removeprefix(prefix) for id_ in recorded if id_.startswith(prefix)}
    keys |= {version.key for version in versions}

    # The events of the removals bring the same about, later: whoever comes second finds it done.
    def converge(key: str) -> None:
        stage.converger.converge(key, uuid4().hex)

    with closing(Pace(RATE).through(converge, sorted(keys))) as outcomes:
        for _ in outcomes:
            advance(1)
    # What no photograph accounts for, in a system that was not in agreement before.
    stage.faces.forget(list(stage.faces.of_person(person_id)))
    stage.records.delete(stage.records.naming(person_id))
    events = _drop_failed_events(stage.settings.failed_events_queue, folder)

    left = traces(stage, person_id)
    if left:
        raise CannotDo(
            f"Something of {person_id} came in while it was being removed: do it again.",
            "not_quiet",
        )
    stage.audit.forgotten(person_id, operator)
    removed = Traces(found.versions, found.uploads, found.records, found.faces, events)
    return Forgotten(person_id, removed, left)


def _drop_failed_events(name: str, folder: str) -> int:
    """Drop the events from the queue that are about photographs in a folder; say how many."""
    try:
        queue = Queue(boto3.Session(), name)
    except ClientError as error:
        if "NonExistentQueue" in error.response["Error"]["Code"]:
            return 0
        raise
    dropped, others = 0, []
    for event in queue.receive():
        if event.keys and all(key.startswith(folder) for key in event.keys):
            queue.discard(event)
            dropped += 1
        else:
            others.append(event)
    for event in others:
        queue.put_back(event)
    return dropped
