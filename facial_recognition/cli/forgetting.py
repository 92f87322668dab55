"""Forget a person, check the result, and drop the person's failed events."""

from collections.abc import Callable

import boto3
from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib import forgetting
from chalicelib.forgetting import Traces
from chalicelib.keys import folder_of
from chalicelib.pacing import PacedExecutor
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.stage import OpenStage
from facial_recognition.infra.failed_events import FailedEventsQueue

RATE = 100.0
"""Photographs started per second; none of them is indexed."""


class Removed(Traces, rename="camel"):
    """The traces that were removed."""

    failed_events: int = 0
    """Events in the queue, each about a photograph of the person."""


class Forgotten(Struct, frozen=True, rename="camel"):
    """The result of forgetting a person."""

    person_id: str
    removed: Removed


def traces(stage: OpenStage, person_id: str) -> Traces:
    """Count the traces of a person.

    The queue of failed events is not searched: reading it takes events out of it.
    """
    return forgetting.traces(stage.converger, [person_id])[person_id]


def forget(
    stage: OpenStage, person_id: str, found: Traces, advance: Callable[[int], None]
) -> Forgotten:
    """Remove all traces of a person, and search again.

    This may be stopped at any point and called again.

    Args:
        stage: the stage to remove them from.
        person_id: the person.
        found: the result of :func:`traces`.
        advance: called with 1 for each photograph that is removed.

    Raises:
        CannotDo: somebody stored something of the person meanwhile.
    """
    events = _drop_failed_events(stage.settings.failed_events_queue, folder_of(person_id))
    executor = PacedExecutor(RATE)
    if forgetting.forget(stage.converger, [person_id], stage.operator, executor, advance):
        raise CannotDo(
            f"Somebody stored something of {person_id} meanwhile. Run the command again.",
            "not_quiet",
        )
    removed = Removed(found.versions, found.uploads, found.records, found.faces, events)
    return Forgotten(person_id, removed)


def _drop_failed_events(name: str, folder: str) -> int:
    """Delete the failed events about photographs in a folder, and return their number."""
    try:
        queue = FailedEventsQueue(boto3.Session(), name)
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
