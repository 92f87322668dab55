"""Kill the running service again and again, and check that nothing acknowledged is lost.

    python -m bench.killed --rounds 200

Six writers use every way in at once: registrations over HTTP, uploads by signed form, plain and
multipart uploads, copies and deletions. At a random moment the service is killed and started again.
When all events are handled, each photograph must be in the state that was acknowledged last, or in
that of a request which had no answer yet: once in the bucket, once in the table, and once in the
collection. Half of the kills leave the service's children to themselves.
"""

import argparse
import base64
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from typing import Any

import requests
from botocore.exceptions import BotoCoreError, ClientError

from bench.running import BUCKET, COLLECTION, TABLE, RunningService
from bench.tables import print_table
from chalicelib.faces import external_image_id
from chalicelib.keys import person_of
from control import control
from sample_photographs import photograph, resized

WRITERS = 6
LONGEST = 3.0
"""Seconds after which a round's kill comes at the latest."""
PEOPLE = {name: resized(photograph(f"{name}.jpg"), 600) for name in ("obama", "biden")}
"""Several writers share a person: a face that is registered to somebody is refused for others."""
State = bytes | None
"""The content of an object; None for a key without one."""


@dataclass
class Tally:
    """What all rounds together have done and found."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    """Answers by the way in."""
    open: Counter[str] = field(default_factory=Counter)
    """Requests that a kill left without an answer, by the way in."""
    wrong: list[str] = field(default_factory=list)
    late: int = 0
    """Photographs that only ``/create-index`` brought in line."""
    orphans: int = 0
    """Processes that outlived the service."""
    restarts: list[float] = field(default_factory=list)
    """Seconds from the start to the end of all events."""


class Writer:
    """Changes photographs of a person until the service is gone."""

    def __init__(self, number: int, seed: int, tally: Tally) -> None:
        self._number = number
        self._person = sorted(PEOPLE)[number % len(PEOPLE)]
        self._random = random.Random(f"{seed} {number}")
        self._tally = tally
        self.known: dict[str, State] = {}
        """The state that was acknowledged last, by key."""
        self.possible: dict[str, State] = {}
        """The state that a request without an answer may have left. The key of a registration is
        empty: only the answer tells it."""

    def work(self, service: RunningService) -> None:
        """Send requests until one has no answer."""
        self._service, self._s3 = service, service.client("s3")
        ways = (self._http, self._form, self._plain, self._multipart, self._copy, self._delete)
        self.possible = {}
        while True:
            act = self._random.choice(ways)
            name = act.__name__.removeprefix("_")
            try:
                done = act()
            except (requests.HTTPError, ClientError) as refused:
                self._tally.wrong.append(f"{name} was refused: {refused}")
                return
            except (requests.RequestException, BotoCoreError):
                self._tally.open[name] += 1
                return
            if done:
                self.known |= self.possible
                self._tally.acknowledged[name] += 1
            self.possible = {}

    def _content(self) -> bytes:
        """Return a photograph that no other request has: bytes after the end are not looked at."""
        return PEOPLE[self._person] + self._random.randbytes(8)

    def _key(self) -> str:
        return f"faces/{self._person}/{self._number}-{self._random.randrange(4)}.jpg"

    def _post(self, **fields: Any) -> dict[str, Any]:
        body = {"name": self._person, "personId": self._person, **fields}
        answer = requests.post(f"{self._service.api}/register", json=body, timeout=60)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _http(self) -> bool:
        content = self._content()
        self.possible = {"": content}
        registered = self._post(image=base64.b64encode(content).decode())
        self.possible = {registered["imageKey"]: content}
        return True

    def _form(self) -> bool:
        upload = self._post(contentType="image/jpeg")
        content = self._content()
        self.possible = {upload["imageKey"]: content}
        form = upload["upload"]
        files = {"file": ("photograph.jpg", content)}
        requests.post(form["url"], form["fields"], files=files, timeout=60).raise_for_status()
        return True

    def _plain(self) -> bool:
        key, content = self._key(), self._content()
        self.possible = {key: content}
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        return True

    def _multipart(self) -> bool:
        key, content = self._key(), self._content()
        where = {"Bucket": BUCKET, "Key": key}
        upload = self._s3.create_multipart_upload(**where)["UploadId"]
        part = self._s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=content)
        self.possible = {key: content}
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        self._s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
        return True

    def _copy(self) -> bool:
        sources = sorted(key for key, state in self.known.items() if state is not None)
        if not sources:
            return False
        source, key = self._random.choice(sources), self._key()
        self.possible = {key: self.known[source]}
        self._s3.copy_object(
            Bucket=BUCKET,
            Key=key,
            CopySource={"Bucket": BUCKET, "Key": source},
            MetadataDirective="REPLACE",
        )
        return True

    def _delete(self) -> bool:
        keys = sorted(key for key, state in self.known.items() if state is not None)
        if not keys:
            return False
        # Registrations have keys of their own; without this their number would grow and grow.
        for key in self._random.sample(keys, max(1, len(keys) - 6)):
            self.possible = {key: None}
            self._s3.delete_object(Bucket=BUCKET, Key=key)
            self.known[key] = None
        return True

    def settle(self, found: dict[str, bytes]) -> list[str]:
        """Compare the objects in the bucket with what is known, and take over what is possible.

        Returns:
            The differences.
        """
        wrong = []
        if "" in self.possible:
            new = self.possible.pop("")
            self.possible |= {key: new for key, content in found.items() if content == new}
        for key in sorted(self.known.keys() | self.possible.keys()):
            state = found.get(key)
            expected = [self.known.get(key), self.possible.get(key, self.known.get(key))]
            if state not in expected:
                wrong.append(f"{key}: neither what was acknowledged nor what was on its way")
            self.known[key] = state
        self.known = {key: state for key, state in self.known.items() if state is not None}
        return wrong


def disagreements(service: RunningService, found: dict[str, bytes]) -> list[str]:
    """Compare table and collection with the objects in the bucket."""
    table, rekognition = service.client("dynamodb"), service.client("rekognition")
    items = [
        item
        for page in table.get_paginator("scan").paginate(TableName=TABLE)
        for item in page["Items"]
    ]
    faces = [
        face
        for page in rekognition.get_paginator("list_faces").paginate(CollectionId=COLLECTION)
        for face in page["Faces"]
    ]
    records = {i["faceId"]["S"].removeprefix("image#"): i for i in items if "status" in i}
    names = Counter(face["ExternalImageId"] for face in faces)
    wrong = [f"{key}: a record without its object" for key in records.keys() - found.keys()]
    expected = set()
    for key, content in found.items():
        name = external_image_id(person_of(key) or "", key)
        expected.add(name)
        record = records.get(key)
        etag = md5(content, usedforsecurity=False).hexdigest()
        if names[name] != 1:
            wrong.append(f"{key}: {names[name]} faces")
        elif record is None or record["status"]["S"] != "indexed":
            wrong.append(f"{key}: it is not recorded as indexed")
        elif record["etag"]["S"] != etag and "-1" not in record["etag"]["S"]:
            wrong.append(f"{key}: the record is of another content")
    wrong += [f"{name}: a face without its object" for name in names.keys() - expected]
    recorded = {item["faceId"]["S"] for item in items if "status" not in item}
    if recorded != {face["FaceId"] for face in faces}:
        wrong.append("the records of faces are not those of the collection")
    return wrong


def objects(service: RunningService) -> dict[str, bytes]:
    """Return the photographs in the bucket."""
    s3 = service.client("s3")
    return {
        item["Key"]: s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for item in page.get("Contents", [])
    }


def check(service: RunningService, writers: list[Writer], tally: Tally) -> None:
    """Wait until all events are handled, and compare everything."""
    control(service.session, service.aws, "quiet")
    found = objects(service)
    for writer in writers:
        tally.wrong += writer.settle(found)
    nobodys = found.keys() - {key for writer in writers for key in writer.known}
    tally.wrong += [f"{key}: nobody has stored this" for key in sorted(nobodys)]
    late = disagreements(service, found)
    if late:
        answer = requests.post(f"{service.api}/create-index", json={"repair": True}, timeout=120)
        answer.raise_for_status()
        control(service.session, service.aws, "quiet")
        tally.late += len(late)
        tally.wrong += disagreements(service, objects(service))


def run_round(
    folder: Path, writers: list[Writer], chance: random.Random, tally: Tally, log: Any
) -> None:
    """Start the service, check it, let the writers write, and kill it."""
    begun = time.monotonic()
    service = RunningService(folder, log)
    check(service, writers, tally)
    tally.restarts.append(time.monotonic() - begun)
    threads = [threading.Thread(target=writer.work, args=(service,)) for writer in writers]
    for thread in threads:
        thread.start()
    time.sleep(chance.uniform(0.0, LONGEST))
    service.kill(all_processes=chance.random() < 0.5)
    for thread in threads:
        thread.join()
    until = time.monotonic() + 10
    while (left := service.processes()) and time.monotonic() < until:
        time.sleep(0.05)
    tally.orphans += len(left)


def main() -> int:
    """Run the rounds and print the table; return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="kills (default: 200)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of chance")
    options = parser.parse_args()
    print(f"{options.rounds} kills, --seed {options.seed}", flush=True)
    chance, tally = random.Random(options.seed), Tally()
    writers = [Writer(number, options.seed, tally) for number in range(WRITERS)]
    with tempfile.TemporaryDirectory() as name, Path(name, "log").open("w") as log:
        folder = Path(name) / "data"
        for number in range(options.rounds):
            run_round(folder, writers, chance, tally, log)
            if (number + 1) % 20 == 0 or tally.wrong:
                count = tally.acknowledged.total()
                print(f"  {number + 1} kills, {count} acknowledged changes", flush=True)
            if tally.wrong:
                break
        if not tally.wrong:
            with RunningService(folder, log) as service:
                check(service, writers, tally)
    ways = sorted(tally.acknowledged)
    rows = [["way in", "acknowledged", "without an answer"]]
    rows += [[way, str(tally.acknowledged[way]), str(tally.open[way])] for way in ways]
    print()
    print_table(rows, "killed")
    print(
        f"\nlost, doubled or different: {len(tally.wrong)}; in line only after /create-index:"
        f" {tally.late}; processes left behind: {tally.orphans}; start and all events: median"
        f" {sorted(tally.restarts)[len(tally.restarts) // 2]:.1f} s"
    )
    for mistake in tally.wrong[:10]:
        print(f"  {mistake}")
    return 1 if tally.wrong or tally.late or tally.orphans else 0


if __name__ == "__main__":
    sys.exit(main())
