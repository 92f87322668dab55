"""Forget a person, and look that all is gone, in the queue of failed events too."""

from collections.abc import Callable

import boto3
from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib import forgetting
from chalicelib.forgetting import Traces
from chalicelib.keys import folder_of
from chalicelib.pacing import PacedExecutor
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.stage import Stage
from facial_recognition.infra.redrive import Queue

RATE = 100.0
"""Photographs begun per second: none of them is indexed."""


class Removed(Traces, rename="camel"):
    """The traces that were removed."""

    failed_events: int = 0
    """In the queue; each holds the key of a photograph."""


class Forgotten(Struct, frozen=True, rename="camel"):
    """What was removed of a person."""

    person_id: str
    removed: Removed


def traces(stage: Stage, person_id: str) -> Traces:
    """Look everywhere for a person.

    Not in the queue of failed events, which cannot be looked through without taking from it.
    """
    return forgetting.traces(stage.converger, [person_id])[person_id]


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
    """
    events = _drop_failed_events(stage.settings.failed_events_queue, folder_of(person_id))
    executor = PacedExecutor(RATE)
    if forgetting.forget(stage.converger, [person_id], stage.operator, executor, advance):
        raise CannotDo(
            f"Something of {person_id} came in while it was being removed: do it again.",
            "not_quiet",
        )
    removed = Removed(found.versions, found.uploads, found.records, found.faces, events)
    return Forgotten(person_id, removed)


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
