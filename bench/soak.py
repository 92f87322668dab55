"""Check that the embedded AWS stays correct and small when many clients use it for a long time.

    python -m bench.soak --photos DIR    (DIR holds one folder per person, with two photographs)

The script starts the embedded AWS on a free port, with its data in a temporary folder. Many clients
use it at the same time: they index, search and delete faces, create and search users, and write,
read and delete objects and items. Each client compares every answer with the expected one. No
request is retried.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.running import BUCKET, TABLE, RunningService, memory

PEOPLE = 6
"""Number of people in the folder whose photographs are used."""
KEPT = 12
"""Number of faces, objects and items that each client keeps stored."""


@dataclass
class Outcome:
    """The results of all clients."""

    seconds: float
    requests: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    """Memory of the server in MB, at the end of each quarter of the time."""

    def report(self) -> str:
        """Return the results as text."""
        count = self.requests.total()
        lines = [
            f"{count} requests in {self.seconds:.0f} s, {count / self.seconds:.0f} per second",
            f"{len(self.errors)} errors, {len(self.wrong)} wrong answers",
            "memory, MB: " + " ".join(f"{size:.0f}" for size in self.memory),
        ]
        lines += [f"  {kind}: {number}" for kind, number in sorted(self.requests.items())]
        return "\n".join([*lines, *(self.errors + self.wrong)[:10]])


class _Client:
    """A client that repeats random requests, and remembers what it has stored."""

    def __init__(self, aws: dict[str, Any], people: dict[str, list[bytes]], outcome: Outcome):
        self._name = uuid.uuid4().hex[:12]
        self._random = random.Random(self._name)
        self._people = people
        self._outcome = outcome
        self._s3, self._dynamodb = aws["s3"], aws["dynamodb"]
        self._rekognition = aws["rekognition"]
        self._faces: dict[str, str] = {}
        self._objects: dict[str, tuple[str, bytes]] = {}
        self._items: dict[str, str] = {}
        self._rekognition.create_collection(CollectionId=self._name)

    def work(self, until: float) -> None:
        """Perform random requests until a time of ``time.monotonic``."""
        while time.monotonic() < until:
            act = self._random.choice((self._index, self._find, self._user, self._put, self._item))
            try:
                act()
            except Exception as error:
                self._outcome.errors.append(f"{act.__name__}: {error!r}")

    def _call(self, call: Callable[..., Any], **parameters: Any) -> Any:
        answer = call(**parameters)
        self._outcome.requests[call.__name__] += 1
        return answer

    def _expect(self, condition: bool, mistake: str) -> None:
        if not condition:
            self._outcome.wrong.append(f"{self._name}: {mistake}")

    def _photograph(self) -> tuple[str, dict[str, bytes]]:
        person = self._random.choice(list(self._people))
        return person, {"Bytes": self._random.choice(self._people[person])}

    def _index(self) -> None:
        person, image = self._photograph()
        indexed = self._call(
            self._rekognition.index_faces,
            CollectionId=self._name,
            Image=image,
            MaxFaces=1,
            ExternalImageId=f"{person}:{uuid.uuid4().hex}",
        )
        (record,) = indexed["FaceRecords"]
        self._faces[record["Face"]["FaceId"]] = person
        if len(self._faces) > KEPT:
            oldest = next(iter(self._faces))
            deleted = self._call(
                self._rekognition.delete_faces, CollectionId=self._name, FaceIds=[oldest]
            )
            self._expect(deleted["DeletedFaces"] == [oldest], "a face was not deleted")
            del self._faces[oldest]
        listed = self._call(self._rekognition.list_faces, CollectionId=self._name)
        ids = [face["FaceId"] for face in listed["Faces"]]
        self._expect(ids == list(self._faces), "the listed faces are not the indexed ones")

    def _find(self) -> None:
        person, image = self._photograph()
        found = self._call(
            self._rekognition.search_faces_by_image,
            CollectionId=self._name,
            Image=image,
            FaceMatchThreshold=90,
        )
        matches = {m["Face"]["FaceId"]: m["Face"]["ExternalImageId"] for m in found["FaceMatches"]}
        mine = {face for face, owner in self._faces.items() if owner == person}
        self._expect(set(matches) == mine, f"{person} was not found, or somebody else was found")

    def _user(self) -> None:
        if not self._faces:
            return
        face, person = self._random.choice(list(self._faces.items()))
        user = {"CollectionId": self._name, "UserId": f"user-{uuid.uuid4().hex}"}
        self._call(self._rekognition.create_user, **user)
        done = self._call(self._rekognition.associate_faces, **user, FaceIds=[face])
        self._expect(len(done["AssociatedFaces"]) == 1, "a face was not associated")
        found = self._call(self._rekognition.search_users, CollectionId=self._name, FaceId=face)
        ids = [match["User"]["UserId"] for match in found["UserMatches"]]
        self._expect(ids == [user["UserId"]], f"the user of {person} was not found")
        self._call(self._rekognition.delete_user, **user)

    def _put(self) -> None:
        key, body = f"soak/{self._name}/{uuid.uuid4()}", self._random.randbytes(100_000)
        bucket = {"Bucket": BUCKET}
        put = self._call(self._s3.put_object, **bucket, Key=key, Body=body)
        self._objects[key] = put["VersionId"], body
        read = self._random.choice(list(self._objects))
        stored = self._call(self._s3.get_object, **bucket, Key=read)["Body"].read()
        self._expect(stored == self._objects[read][1], "an object has another body")
        if len(self._objects) > KEPT:
            oldest = next(iter(self._objects))
            version = self._objects.pop(oldest)[0]
            self._call(self._s3.delete_object, **bucket, Key=oldest, VersionId=version)

    def _item(self) -> None:
        name = self._random.choice([f"{self._name}-{number}" for number in range(KEPT)])
        key = {"TableName": TABLE, "Key": {"faceId": {"S": name}}}
        text = uuid.uuid4().hex * 10
        self._call(
            self._dynamodb.update_item,
            **key,
            UpdateExpression="SET txt = :t",
            ExpressionAttributeValues={":t": {"S": text}},
        )
        self._items[name] = text
        read = self._random.choice(list(self._items))
        key["Key"] = {"faceId": {"S": read}}
        item = self._call(self._dynamodb.get_item, **key)["Item"]
        self._expect(item["txt"]["S"] == self._items[read], "an item has another value")


def soak(photos: Path, seconds: float, clients: int) -> Outcome:
    """Run clients against a new server.

    Args:
        photos: folder with one folder per person, with two photographs each.
        seconds: duration.
        clients: number of clients.
    """
    people = _people(photos)
    outcome = Outcome(seconds)
    with tempfile.TemporaryDirectory() as folder, RunningService(Path(folder)) as service:
        aws = {name: service.client(name, clients) for name in ("s3", "dynamodb", "rekognition")}
        workers = [_Client(aws, people, outcome) for _ in range(clients)]
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=w.work, args=(until,)) for w in workers]
        for thread in threads:
            thread.start()
        for quarters_left in range(3, -1, -1):
            time.sleep(max(0.0, until - time.monotonic() - quarters_left * seconds / 4))
            outcome.memory.append(memory(service.pid))
        for thread in threads:
            thread.join()
    return outcome


def _people(photos: Path) -> dict[str, list[bytes]]:
    """Return two photographs each of ``PEOPLE`` people, by name."""
    folders = [sorted(folder.glob("*.jp*g"))[:2] for folder in sorted(photos.iterdir())]
    pairs = [pair for pair in folders if len(pair) == 2][:PEOPLE]
    return {f"person{n}": [p.read_bytes() for p in pair] for n, pair in enumerate(pairs)}


def main() -> int:
    """Run, and print the results. The exit code is 0 if there were no errors or wrong answers."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument(
        "--photos", type=Path, required=True, help="folder with one folder per person"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="duration (default: 60)")
    parser.add_argument("--clients", type=int, default=32, help="number of clients (default: 32)")
    options = parser.parse_args()
    outcome = soak(options.photos, options.seconds, options.clients)
    print(outcome.report())
    return 1 if outcome.errors or outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
