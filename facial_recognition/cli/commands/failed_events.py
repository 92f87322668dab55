"""``faces redrive``."""

from collections.abc import Sequence
from typing import Annotated

import boto3
import typer

from facial_recognition.cli.commands.options import Json, StageName
from facial_recognition.cli.display import Display
from facial_recognition.cli.exit_codes import DONE
from facial_recognition.cli.stage import OpenStage
from facial_recognition.infra.failed_events import FailedEvent, FailedEventsQueue


def redrive(
    only_list: Annotated[
        bool, typer.Option("--list", help="Only show the events, and leave them in the queue.")
    ] = False,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Give failed events back to their functions."""
    display = Display(as_json=as_json)
    queue = FailedEventsQueue(boto3.Session(), OpenStage(stage).settings.failed_events_queue)
    events = []
    for event in queue.events() if only_list else queue.redrive_all():
        events.append(event)
        if not as_json:
            keys = " ".join(event.keys)
            display.say(f"{event.time} {event.function_name} {keys} - {event.error}")
    if as_json:
        display.json(_to_json(events))
    else:
        place = "in the queue" if only_list else "given back to their functions"
        display.say(f"{len(events)} events {place}")
    return DONE


def _to_json(events: Sequence[FailedEvent]) -> list[dict[str, object]]:
    return [
        {"time": e.time, "function": e.function_name, "keys": e.keys, "error": e.error}
        for e in events
    ]
