"""Does the embedded AWS stay right and small when many clients use it for long?

Starts it on a free port, with its data in a temporary folder, and lets clients work on it at once:
each indexes, finds and deletes faces, makes and finds users, and writes, reads and deletes objects
and items. Every answer is compared with what it has to be. No request is tried twice.

    python -m bench.soak --photos DIR        (DIR holds a folder per person, of two photographs)
"""

import argparse
import functools
import random
import subprocess
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

import boto3
from botocore.config import Config

BUCKET, TABLE = "facial-recognition-data-bucket", "face-metadata"
PEOPLE = 6
"""As many of the people in the folder take part."""
KEPT = 12
"""As many faces, objects and items each client leaves at any time."""


@dataclass
class Outcome:
    """What came of it."""

    seconds: float
    requests: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    """MB of the server, at equal distances in time; the first while it is still growing."""

    def report(self) -> str:
        """Format for people."""
        count = self.requests.total()
        lines = [
            f"{count} requests in {self.seconds:.0f} s, {count / self.seconds:.0f} per second",
            f"{len(self.errors)} errors, {len(self.wrong)} wrong answers",
            "memory, MB: " + " ".join(f"{size:.0f}" for size in self.memory),
        ]
        lines += [f"  {kind}: {number}" for kind, number in sorted(self.requests.items())]
        return "\n".join([*lines, *(self.errors + self.wrong)[:10]])


class _Client:
    """One of the clients: what it has stored, and what it does next."""

    def __init__(self, aws: Callable[[str], Any], people: dict[str, list[bytes]], outcome: Outcome):
        self._name = uuid.uuid4().hex[:12]
        self._random = random.Random(self._name)
        self._people = people
        self._outcome = outcome
        self._s3, self._dynamodb = aws("s3"), aws("dynamodb")
        self._rekognition = aws("rekognition")
        self._faces: dict[str, str] = {}
        self._objects: dict[str, tuple[str, bytes]] = {}
        self._items: dict[str, str] = {}
        self._rekognition.create_collection(CollectionId=self._name)

    def work(self, until: float) -> None:
        """Do one thing after the other."""
        while time.monotonic() < until:
            act = self._random.choice((self._index, self._find, self._user, self._put, self._item))
            try:
                act()
            except Exception as error:
                self._outcome.errors.append(f"{act.__name__}: {error!r}")

    def _ask(self, call: Callable[..., Any], **parameters: Any) -> Any:
        answer = call(**parameters)
        self._outcome.requests[call.__name__] += 1
        return answer

    def _expect(self, right: bool, what: str) -> None:
        if not right:
            self._outcome.wrong.append(f"{self._name}: {what}")

    def _photograph(self) -> tuple[str, dict[str, bytes]]:
        person = self._random.choice(list(self._people))
        return person, {"Bytes": self._random.choice(self._people[person])}

    def _index(self) -> None:
        person, image = self._photograph()
        indexed = self._ask(
            self._rekognition.index_faces,
            CollectionId=self._name,
            Image=image,
            MaxFaces=1,
            ExternalImageId=f"{person}:{uuid.uuid4().hex}",
        )
        (record,) = indexed["FaceRecords"]
        self._faces[record["Face"]["FaceId"]] = person
        if len(self._faces) > KEPT:
            gone = next(iter(self._faces))
            deleted = self._ask(
                self._rekognition.delete_faces, CollectionId=self._name, FaceIds=[gone]
            )
            self._expect(deleted["DeletedFaces"] == [gone], "a face was not deleted")
            del self._faces[gone]
        listed = self._ask(self._rekognition.list_faces, CollectionId=self._name)
        ids = [face["FaceId"] for face in listed["Faces"]]
        self._expect(ids == list(self._faces), "other faces are listed than indexed")

    def _find(self) -> None:
        person, image = self._photograph()
        found = self._ask(
            self._rekognition.search_faces_by_image,
            CollectionId=self._name,
            Image=image,
            FaceMatchThreshold=90,
        )
        matches = {m["Face"]["FaceId"]: m["Face"]["ExternalImageId"] for m in found["FaceMatches"]}
        mine = {face for face, whose in self._faces.items() if whose == person}
        self._expect(set(matches) == mine, f"{person} was not found, or somebody else was")

    def _user(self) -> None:
        if not self._faces:
            return
        face, person = self._random.choice(list(self._faces.items()))
        user = {"CollectionId": self._name, "UserId": f"user-{uuid.uuid4().hex}"}
        self._ask(self._rekognition.create_user, **user)
        done = self._ask(self._rekognition.associate_faces, **user, FaceIds=[face])
        self._expect(len(done["AssociatedFaces"]) == 1, "a face was not associated")
        found = self._ask(self._rekognition.search_users, CollectionId=self._name, FaceId=face)
        ids = [match["User"]["UserId"] for match in found["UserMatches"]]
        self._expect(ids == [user["UserId"]], f"the user of {person} was not found")
        self._ask(self._rekognition.delete_user, **user)

    def _put(self) -> None:
        key, body = f"soak/{self._name}/{uuid.uuid4()}", self._random.randbytes(100_000)
        bucket = {"Bucket": BUCKET}
        put = self._ask(self._s3.put_object, **bucket, Key=key, Body=body)
        self._objects[key] = put["VersionId"], body
        read = self._random.choice(list(self._objects))
        stored = self._ask(self._s3.get_object, **bucket, Key=read)["Body"].read()
        self._expect(stored == self._objects[read][1], "an object has another body")
        if len(self._objects) > KEPT:
            gone = next(iter(self._objects))
            version = self._objects.pop(gone)[0]
            self._ask(self._s3.delete_object, **bucket, Key=gone, VersionId=version)

    def _item(self) -> None:
        name = self._random.choice([f"{self._name}-{number}" for number in range(KEPT)])
        key = {"TableName": TABLE, "Key": {"faceId": {"S": name}}}
        text = uuid.uuid4().hex * 10
        self._ask(
            self._dynamodb.update_item,
            **key,
            UpdateExpression="SET txt = :t",
            ExpressionAttributeValues={":t": {"S": text}},
        )
        self._items[name] = text
        read = self._random.choice(list(self._items))
        key["Key"] = {"faceId": {"S": read}}
        item = self._ask(self._dynamodb.get_item, **key)["Item"]
        self._expect(item["txt"]["S"] == self._items[read], "an item has another value")


def soak(photos: Path, seconds: float, clients: int) -> Outcome:
    """Let clients work for some seconds on a server of their own."""
    people = _people(photos)
    outcome = Outcome(seconds)
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "facial_recognition.cli",
                "run",
                "--port",
                "0",
                "--data",
                f"{folder}/data",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            ready = next(line for line in server.stdout if line.startswith("ready "))
            aws = _sdk(ready.split()[-1], clients)
            workers = [_Client(aws, people, outcome) for _ in range(clients)]
            until = time.monotonic() + seconds
            threads = [threading.Thread(target=w.work, args=(until,)) for w in workers]
            for thread in threads:
                thread.start()
            for left in range(3, -1, -1):
                time.sleep(max(0.0, until - time.monotonic() - left * seconds / 4))
                outcome.memory.append(_memory(server.pid))
            for thread in threads:
                thread.join()
        finally:
            server.terminate()
            server.communicate()
    return outcome


def _sdk(url: str, connections: int) -> Callable[[str], Any]:
    """Return what gives boto3's client for a service; threads share it, not its connections."""
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=connections)

    @functools.cache
    def client(service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=config,
        )

    return client


def _people(photos: Path) -> dict[str, list[bytes]]:
    """Return two photographs each of some people."""
    folders = [sorted(folder.glob("*.jp*g"))[:2] for folder in sorted(photos.iterdir())]
    pairs = [pair for pair in folders if len(pair) == 2][:PEOPLE]
    return {f"person{n}": [p.read_bytes() for p in pair] for n, pair in enumerate(pairs)}


def _memory(process: int) -> float:
    """Return the MB of memory that a process has for itself."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def main() -> int:
    """Run and report; the exit status says whether all was right."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=32)
    options = parser.parse_args()
    outcome = soak(options.photos, options.seconds, options.clients)
    print(outcome.report())
    return 1 if outcome.errors or outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
