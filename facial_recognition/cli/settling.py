"""Wait until the service has indexed photographs that a command stored."""

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from chalicelib.models import PhotographRecord
from facial_recognition.cli.stage import OpenStage

INTERVAL = 0.5
"""Seconds between two reads of the records."""
BATCH = 100


def wait_until_indexed(
    stage: OpenStage,
    keys: Iterable[str],
    patience: float,
    settled: Callable[[PhotographRecord], None],
    outdated: Mapping[str, int] = MappingProxyType({}),
) -> set[str]:
    """Wait until the indexing of photographs has ended, as their records say.

    Args:
        stage: the stage that stores them.
        keys: the photographs' keys in S3.
        patience: seconds without progress after which the wait ends.
        settled: called with each record whose indexing has ended.
        outdated: for photographs that were stored again, the ``attempts`` of the old record by the
            key. A record with this number is still the old one and is ignored.

    Returns:
        The keys of the photographs whose indexing has not ended.
    """
    waiting = dict.fromkeys(keys)
    last_progress = time.monotonic()
    while waiting:
        found = stage.records.photographs(list(waiting)[:BATCH])
        done = [
            record
            for record in found.values()
            if record.status != "registered"
            and not record.running
            and record.attempts != outdated.get(record.image_key)
        ]
        for record in done:
            del waiting[record.image_key]
            settled(record)
        if done:
            last_progress = time.monotonic()
        elif time.monotonic() - last_progress > patience:
            break
        else:
            # The first batch may be stuck, so it goes to the end of the queue.
            for key in list(waiting)[:BATCH]:
                waiting[key] = waiting.pop(key)
            time.sleep(INTERVAL)
    return set(waiting)
