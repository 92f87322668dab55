"""Wait until photographs that were stored have been indexed, which happens by itself."""

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from chalicelib.records import PhotographRecord
from facial_recognition.cli.stage import Stage

INTERVAL = 0.5
"""Seconds between two looks at the records."""
BATCH = 100


def wait_until_indexed(
    stage: Stage,
    keys: Iterable[str],
    patience: float,
    settled: Callable[[PhotographRecord], None],
    outdated: Mapping[str, int] = MappingProxyType({}),
) -> set[str]:
    """Wait until the records of photographs tell how their indexing ended.

    Args:
        stage: whose.
        keys: the photographs, in S3.
        patience: seconds without any progress after which it is given up.
        settled: told each record, once it says how it ended.
        outdated: of photographs stored anew, by keys, the ``attempts`` of the record from before;
            it says nothing as long as it is that.

    Returns:
        The keys of which it is not known yet.
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
            # Those at the front may be stuck: look at others next time.
            for key in list(waiting)[:BATCH]:
                waiting[key] = waiting.pop(key)
            time.sleep(INTERVAL)
    return set(waiting)
