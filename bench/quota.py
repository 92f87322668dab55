"""Simulate a big upload and a big removal at once, within Rekognition's quotas, in virtual time.

    python -m bench.quota

The handlers and the convergence are the real ones. S3, DynamoDB, SQS and Rekognition are stubs that
answer as quickly as AWS usually does. Rekognition has a million or 20 million faces, pages of
4,096, and a quota of 5 or 50 calls a second for each operation. Besides, it throttles one call in
five at random. A call that is throttled uses no quota.

2,000 photographs are uploaded and 2,000 others removed in the same moment. The table shows the
calls by operation, the time until everything agrees, and how much of the quota was used: successful
calls divided by quota times the time until the last of them.
"""

import argparse
import heapq
import logging
import random
import sys
from collections import Counter, deque
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from msgspec.structs import replace

import app
from bench.tables import print_table
from bench.virtual import VirtualTime
from chalicelib.convergence import Converger
from chalicelib.faces import PAGE, Faces, external_image_id
from chalicelib.models import BoundingBox, FaceRecord, PhotographRecord, Quality, StoredPhotograph
from chalicelib.records import RecordChanged
from chalicelib.settings import Settings
from chalicelib.work import Task, WorkQueue

INDEXING, DELETING, LISTING, READING = 0.3, 0.1, 0.2, 0.01
"""Seconds that calls take: IndexFaces, DeleteFaces, a page of ListFaces, and all others."""
THROTTLED_AT_RANDOM = 0.2
QUOTAS = {5: "5", 50: "50"}
"""Calls a second, and the ``INDEX_RATE`` of the stage."""
SIZES = (1_000_000, 20_000_000)


class Rekognition:
    """A collection that counts calls, within a quota."""

    def __init__(self, clock: VirtualTime, quota: float, size: int, seed: int) -> None:
        self._clock = clock
        self._quota = quota
        self._size = size
        self._random = random.Random(seed)
        self._allowance: dict[str, tuple[float, float]] = {}
        self.faces: dict[str, str] = {}
        """Faces of the photographs of this run, by the photograph's version and id."""
        self.calls: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self.last: dict[str, float] = {}
        """When the last call of an operation has succeeded."""

    def index_faces(self, *, Image: Any, ExternalImageId: str, **_: Any) -> Any:  # noqa: N803
        """Index a photograph; its version is its content."""
        self._take("IndexFaces", INDEXING)
        version = Image["S3Object"]["Version"]
        face_id = self.faces.setdefault(f"{ExternalImageId} {version}", f"face of {version}")
        detail = {
            "BoundingBox": {"Left": 0.4, "Top": 0.4, "Width": 0.2, "Height": 0.2},
            "Confidence": 100.0,
            "Quality": {"Brightness": 80.0, "Sharpness": 80.0},
            "Pose": {"Roll": 0.0, "Yaw": 0.0, "Pitch": 0.0},
        }
        found = {"Face": {"FaceId": face_id}, "FaceDetail": detail}
        return {"FaceRecords": [found], "FaceModelVersion": "7.0"}

    def delete_faces(self, *, FaceIds: list[str], **_: Any) -> Any:  # noqa: N803
        """Delete faces."""
        self._take("DeleteFaces", DELETING)
        self.faces = {key: face for key, face in self.faces.items() if face not in FaceIds}
        return {}

    def list_faces(self, **_: Any) -> Any:
        """List a page; each walk through the collection has as many as the size needs."""
        self._take("ListFaces", LISTING)
        pages = self._size // PAGE
        return {"Faces": [], "NextToken": "x" if self.calls["ListFaces"] % pages else None}

    def _take(self, operation: str, seconds: float) -> None:
        """Take a call from the quota, and the time that it needs."""
        self._clock.sleep(READING)
        now = self._clock.time()
        left, filled = self._allowance.get(operation, (self._quota, 0.0))
        left = min(self._quota, left + (now - filled) * self._quota)
        is_admitted = left >= 1 and self._random.random() >= THROTTLED_AT_RANDOM
        self._allowance[operation] = left - is_admitted, now
        if not is_admitted:
            self.throttled[operation] += 1
            error = {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}
            raise ClientError(error, operation)  # type: ignore[arg-type]
        self.calls[operation] += 1
        self._clock.sleep(seconds)
        self.last[operation] = self._clock.time()


class Photographs:
    """The objects of a bucket; each has one version, which is its content."""

    bucket = "bucket"

    def __init__(self, clock: VirtualTime) -> None:
        self._clock = clock
        self.stored: dict[str, StoredPhotograph] = {}

    def head(self, key: str) -> StoredPhotograph | None:
        """Return an object."""
        self._clock.sleep(READING)
        return self.stored.get(key)


class Records:
    """The records of photographs and faces, with the conditions of the real ones."""

    def __init__(self, clock: VirtualTime) -> None:
        self._clock = clock
        self.photographs: dict[str, PhotographRecord] = {}
        self.faces: dict[str, FaceRecord] = {}
        self.writes = 0

    def photograph(self, key: str) -> PhotographRecord | None:
        """Return the record of a photograph."""
        self._clock.sleep(READING)
        return self.photographs.get(key)

    def start_attempt(
        self,
        before: PhotographRecord | None,
        attempt: str,
        stored: StoredPhotograph | None,
        key: str,
    ) -> PhotographRecord:
        """Record that an attempt starts."""
        self._write(key, before)
        record = before or PhotographRecord(
            face_id=PhotographRecord.id_of(key), status="registered"
        )
        versions = dict(record.versions)
        if stored is not None:
            versions[attempt] = [*versions.get(attempt, ()), str(stored.version_id)]
        self.photographs[key] = record = replace(
            record,
            person_id=key.split("/")[1],
            name="name",
            status="registered",
            etag=stored.etag if stored else None,
            running={**record.running, attempt: self._clock.time()},
            versions=versions,
            is_doubtful=False,
            attempts=record.attempts + 1,
        )
        return record

    def finish_attempt(
        self,
        record: PhotographRecord,
        attempt: str,
        *,
        ended: Any,
        outdated: Any,
        face: FaceRecord | None,
        also: Any = (),
    ) -> None:
        """Record the outcome of an attempt."""
        key = record.image_key
        self._write(key)
        now = self.photographs.get(key)
        if now is None or attempt not in now.running or now.status != "registered":
            raise RecordChanged
        if now.etag != record.etag:
            raise RecordChanged
        self._drop(outdated)
        if face is not None:
            self.faces[face.face_id] = face
        self.photographs[key] = _without(record, now, {attempt, *ended})

    def end_attempt(self, record: PhotographRecord, attempt: str, *, is_doubtful: bool) -> None:
        """Record that an attempt has ended."""
        self._write(record.image_key)
        now = self.photographs.get(record.image_key)
        if now is None:
            raise RecordChanged
        doubtful = replace(now, is_doubtful=now.is_doubtful or is_doubtful)
        self.photographs[record.image_key] = _without(doubtful, now, {attempt})

    def delete_photograph(
        self, record: PhotographRecord, face_ids: Any = (), also: Any = ()
    ) -> None:
        """Delete the records of a photograph and of its faces."""
        self._write(record.image_key, record)
        del self.photographs[record.image_key]
        self._drop(face_ids)

    def _drop(self, face_ids: Any) -> None:
        for face_id in face_ids:
            self.faces.pop(face_id, None)

    def _write(self, key: str, before: PhotographRecord | str | None = "any") -> None:
        self._clock.sleep(READING)
        self.writes += 1
        if before != "any" and self.photographs.get(key) != before:
            raise RecordChanged


def _without(
    record: PhotographRecord, now: PhotographRecord, attempts: set[str]
) -> PhotographRecord:
    """Return a record without attempts."""
    running = {a: since for a, since in now.running.items() if a not in attempts}
    versions = {a: some for a, some in now.versions.items() if a not in attempts}
    return replace(record, running=running, versions=versions, attempts=now.attempts)


class Audit:
    """An audit trail that costs a call for its salt, and an entry in the transaction."""

    def __init__(self, clock: VirtualTime) -> None:
        self._clock = clock

    def salt(self) -> bytes:
        """Return the salt."""
        self._clock.sleep(READING)
        return b""

    def entry_write(self, *_: Any) -> dict[str, Any]:
        """Return the write of an entry."""
        return {}


class Queue:
    """SQS: messages that become visible after a delay."""

    def __init__(self, clock: VirtualTime) -> None:
        self._clock = clock
        self.waiting: list[tuple[float, str]] = []
        self.sent = 0

    def get_queue_url(self, **_: Any) -> Any:
        """Return the address."""
        return {"QueueUrl": "url"}

    def send_message(self, *, MessageBody: str, DelaySeconds: int, **_: Any) -> None:  # noqa: N803
        """Add a message."""
        self._clock.sleep(READING)
        self.sent += 1
        heapq.heappush(self.waiting, (self._clock.time() + DelaySeconds, MessageBody))

    def receive(self) -> str | None:
        """Return a visible message."""
        if self.waiting and self.waiting[0][0] <= self._clock.time():
            return heapq.heappop(self.waiting)[1]
        return None


def simulate(size: int, quota: int, count: int, seed: int) -> list[str]:
    """Run the simulation once; return the row of the table.

    Args:
        size: faces in the collection.
        quota: calls a second of each operation of Rekognition.
        count: photographs to upload, and others to remove.
        seed: of chance.
    """
    random.seed(seed)
    clock = VirtualTime()
    settings = Settings(index_rate=float(QUOTAS[quota]))
    rekognition = Rekognition(clock, quota, size, seed)
    photographs, records, queue = Photographs(clock), Records(clock), Queue(clock)
    faces = Faces(lambda: rekognition, "collection")  # type: ignore[arg-type, return-value]
    make: Any = Converger  # of stubs
    converger = make(photographs, records, faces, Audit(clock), settings)
    work_queue = WorkQueue(lambda: queue, "work")  # type: ignore[arg-type, return-value]
    uploads = [f"faces/new{number}/1.jpg" for number in range(count)]
    removals = [f"faces/old{number}/1.jpg" for number in range(count)]
    for key in uploads:
        photographs.stored[key] = StoredPhotograph(
            key, f"etag {key}", 100_000, "name", None, None, f"version of {key}"
        )
    for key in removals:
        _register(key, records, rekognition)

    handling = [0]

    def handle(events: "deque[str]") -> None:
        while events:
            key = events.popleft()
            app.converge(Task(key, f"attempt at {key}", clock.time()))

    def work() -> None:
        while handling[0] or queue.waiting or uploading or removing:
            body = queue.receive()
            if body is None:
                clock.sleep(0.1)
                continue
            handling[0] += 1
            app.converge(Task.from_body(body), app.PAUSES)
            handling[0] -= 1

    uploading, removing = deque(uploads), deque(removals)
    at_once = max(2, quota)
    works: list[Callable[[], None]] = [lambda: handle(uploading)] * at_once
    works += [lambda: handle(removing)] * at_once
    works += [work] * at_once
    with (
        patch("chalicelib.convergence.time", clock),
        patch.object(app, "converger", lambda: converger),
        patch.object(app, "work_queue", lambda: work_queue),
    ):
        clock.run(works)
    is_right = set(records.photographs) == set(uploads) and len(rekognition.faces) == count
    is_right &= all(not record.running for record in records.photographs.values())
    used = {
        operation: rekognition.calls[operation] / (quota * rekognition.last[operation])
        for operation in ("IndexFaces", "DeleteFaces")
    }
    return [
        f"{size:,}",
        str(quota),
        f"{rekognition.calls['IndexFaces']:,}",
        f"{rekognition.calls['DeleteFaces']:,}",
        str(rekognition.calls["ListFaces"]),
        f"{rekognition.throttled.total():,}",
        f"{queue.sent:,}",
        f"{clock.time():.0f}",
        f"{used['IndexFaces']:.2f}",
        f"{used['DeleteFaces']:.2f}",
        "yes" if is_right else "no",
    ]


def _register(key: str, records: Records, rekognition: Rekognition) -> None:
    """Let a photograph be registered, whose object is gone."""
    person, version = key.split("/")[1], f"version of {key}"
    face_id = f"face of {version}"
    rekognition.faces[f"{external_image_id(person, key)} {version}"] = face_id
    records.photographs[key] = PhotographRecord(
        face_id=PhotographRecord.id_of(key),
        person_id=person,
        name="name",
        status="indexed",
        etag=f"etag {key}",
        face_ids=[face_id],
        attempts=1,
    )
    records.faces[face_id] = FaceRecord(
        face_id=face_id,
        person_id=person,
        name="name",
        image_key=key,
        bounding_box=BoundingBox(0.4, 0.4, 0.2, 0.2),
        confidence=100.0,
        quality=Quality(80.0, 80.0),
        indexed_at="2026-01-01T00:00:00+00:00",
        face_model_version="7.0",
    )


def main() -> int:
    """Simulate, and print the table; return 1 if it is not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="photographs (default: 2000)")
    parser.add_argument("--seed", type=int, default=2026, help="of chance (default: 2026)")
    options = parser.parse_args()
    logging.getLogger("facial-recognition").setLevel(logging.CRITICAL)
    rows = [
        [
            "faces",
            "quota a second",
            "IndexFaces",
            "DeleteFaces",
            "ListFaces",
            "throttled",
            "tasks",
            "seconds",
            "quota of IndexFaces used",
            "of DeleteFaces",
            "all agrees",
        ]
    ]
    rows += [simulate(size, q, options.count, options.seed) for size in SIZES for q in QUOTAS]
    print_table(rows, "quota")
    return int(any(row[-1] != "yes" or row[4] != "0" or float(row[8]) < 0.9 for row in rows[1:]))


if __name__ == "__main__":
    sys.exit(main())
