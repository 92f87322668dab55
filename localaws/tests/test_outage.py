"""A disk that takes nothing more: refusals are clear, nothing refused is kept, and all recovers."""

import os
import re
import resource
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from werkzeug.test import Client

from localaws.database import Database
from localaws.errors import DataNotStored
from localaws.rekognition.collections import Collections
from localaws.rekognition.faces import NewFace
from localaws.rekognition.geometry import Box
from localaws.services.lambda_ import event_queue
from localaws.services.lambda_.functions import Functions
from localaws.services.lambda_.invocations import Invocations
from localaws.services.lambda_.persistence import SCHEMA, EventStore
from localaws.wsgi import chain
from processes import LOCALAWS, session_of, started, wait_for

BUCKET, TABLE, COLLECTION = "bucket", "table", "collection"


def fill_disk(database: Database) -> None:
    """Let SQLite refuse to grow the file."""
    database._writer.execute("PRAGMA max_page_count = 1")


def free_disk(database: Database) -> None:
    database._writer.execute("PRAGMA max_page_count = 1000000")


# --- a whole server ---------------------------------------------------------------------------


class Server:
    """A process with data on disk, and its clients."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        session = session_of(process)
        url = wait_for(process, r"^ready \S+ (\S+)$")[1]
        config = Config(retries={"total_max_attempts": 1})
        self.s3, self.dynamodb, self.sqs, self.rekognition = (
            session.client(name, endpoint_url=url, config=config)
            for name in ("s3", "dynamodb", "sqs", "rekognition")
        )

    def limit_files(self, size: int) -> None:
        """Let the system refuse larger files: only root could make a small disk to fill."""
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def put(self, number: int) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=f"{number:03}", Body=bytes(50_000))

    def seen(self) -> list[Any]:
        """Return the names of everything that is there."""
        return [
            [found["Key"] for found in self.s3.list_objects_v2(Bucket=BUCKET)["Contents"]],
            [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]],
            sorted(item["id"]["S"] for item in self.dynamodb.scan(TableName=TABLE)["Items"]),
            self.dynamodb.list_tables()["TableNames"],
            self.sqs.list_queues().get("QueueUrls", []),
            self.rekognition.list_collections()["CollectionIds"],
        ]


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    with started(*LOCALAWS, "--port", "0", "--data", str(folder)) as process:
        yield Server(process)


def fill(server: Server) -> None:
    server.s3.create_bucket(Bucket=BUCKET)
    server.dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    server.dynamodb.put_item(TableName=TABLE, Item={"id": {"S": "kept"}})
    server.rekognition.create_collection(CollectionId=COLLECTION)
    server.put(0)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
def test_refused_changes_leave_nothing_and_writing_goes_on_by_itself(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        fill(server)
        before = server.seen()
        server.limit_files(1)
        changes = [
            lambda: server.s3.create_bucket(Bucket="refused"),
            lambda: server.s3.delete_object(Bucket=BUCKET, Key="000"),
            lambda: server.dynamodb.put_item(TableName=TABLE, Item={"id": {"S": "refused"}}),
            lambda: server.dynamodb.delete_table(TableName=TABLE),
            lambda: server.sqs.create_queue(QueueName="refused"),
            lambda: server.rekognition.create_collection(CollectionId="refused"),
            lambda: server.rekognition.delete_collection(CollectionId=COLLECTION),
            *([lambda: server.put(0), lambda: server.put(1)] * 50),
        ]
        with ThreadPoolExecutor(8) as pool:
            refused = [pool.submit(change).exception() for change in changes]
            assert [str(error) for error in refused if not _is_clear(error)] == []
            assert server.seen() == before
            server.limit_files(resource.RLIM_INFINITY)
            for number in range(2, 5):
                server.put(number)
            server.rekognition.create_collection(CollectionId="later")
        after = server.seen()
        os.kill(server.process.pid, signal.SIGKILL)
        logged = server.process.communicate()[0]

    assert after[0] == ["000", "002", "003", "004"]
    assert after[1:5] == before[1:5]
    assert after[5] == [COLLECTION, "later"]
    lines = [re.sub(r"^.*/", "", line.partition(" (")[0]) for line in logged.splitlines()]
    assert sorted(lines) == [
        "rekognition.db can be written again",
        "rekognition.db cannot be written",
        "services.db can be written again",
        "services.db cannot be written",
    ]
    with serving(tmp_path) as server:
        assert server.seen() == after


def _is_clear(error: BaseException | None) -> bool:
    if not isinstance(error, ClientError):
        return False
    is_of_server = error.response["ResponseMetadata"]["HTTPStatusCode"] in (500, 503)
    return is_of_server and "cannot be written" in str(error)


# --- faces ------------------------------------------------------------------------------------


def face(number: int) -> NewFace:
    vector = np.zeros(128, np.float32)
    vector[number] = 1
    image = f"00000000-0000-0000-0000-{number:012}"
    return NewFace(image, "x" * 5000, Box(0.1, 0.2, 0.3, 0.4), 99.5, vector)


@pytest.mark.parametrize("name", ["faces.db", None])
def test_faces_that_are_not_stored_are_not_found(tmp_path: Path, name: str | None) -> None:
    collections = Collections(tmp_path / name if name else None)
    database = collections._database
    club = collections.create("club", {})
    stored = club.write(lambda db: club.faces.add(db, [face(1), face(2)]))
    club.write(lambda db: club.users.create(db, "ada"))
    ids = [one.face_id for one in stored]
    club.write(lambda db: club.users.associate(db, "ada", ids[:1], threshold=0))
    fill_disk(database)

    def fail(db: Any) -> None:
        club.users.associate(db, "ada", ids[1:], threshold=0)
        club.faces.remove(db, stored)
        club.faces.add(db, [face(number) for number in range(3, 100)])

    with pytest.raises(DataNotStored):
        club.write(fail)
    with pytest.raises(DataNotStored):
        database.write(lambda db: (collections_deleted(collections, db), fail(db)))
    assert [len(club.faces), club.faces.page(0, 10)[0].user_id] == [2, "ada"]
    (user,) = club.users.search(face(1).vector, 99, 10)
    assert user.similarity == pytest.approx(100)
    free_disk(database)
    (third,) = club.write(lambda db: club.faces.add(db, [face(3)]))

    assert collections.get("club") is club
    assert [match.face for match in club.faces.search(face(3).vector, 90, 10)] == [third]
    assert len(club.faces) == 3


def collections_deleted(collections: Collections, db: Any) -> None:
    db.execute("DELETE FROM tags")
    collections._replace({})


# --- events -----------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "events.db", SCHEMA, "test")
    yield made
    made.close()


@pytest.fixture
def functions(database: Database) -> Iterator[Functions]:
    made = Functions(retry_delays=(0.01, 0.01), kept_events=EventStore(database))
    yield made
    made.stop()


def test_an_event_that_cannot_be_stored_is_not_accepted(
    database: Database, functions: Functions
) -> None:
    handled = []
    functions.add({"index": lambda event, request_id: handled.append(event)})
    client = Client(chain([Invocations(functions)], lambda *_: []))
    path = "/2015-03-31/functions/index/invocations"
    event = {"headers": {"X-Amz-Invocation-Type": "Event"}, "json": {"text": "x" * 100_000}}
    fill_disk(database)

    refused = client.post(path, **event)
    functions.drain()

    assert (refused.status_code, handled) == (500, [])
    assert "cannot be written" in refused.get_data(as_text=True)


def test_events_wait_until_the_disk_takes_what_their_functions_store(
    database: Database, functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_queue, "OUTAGE_DELAY", 0.01)
    assert database.path is not None
    elsewhere = database.path.with_name("elsewhere")
    recorded: list[Any] = []
    attempts, is_noticed = [], threading.Event()

    def handle(event: Any, request_id: str) -> None:
        attempts.append(event)
        if len(attempts) == 1:
            database.path.rename(elsewhere)
            threading.Timer(0.2, is_noticed.set).start()
        database.write(lambda db: db.execute("CREATE TABLE result (text TEXT)"))

    functions.add({"index": handle}, recorded.append)
    functions.notify("index", {})
    assert is_noticed.wait(10)
    elsewhere.rename(database.path)
    functions.drain()

    assert (len(attempts), recorded) == (2, [])
    assert database.read("SELECT * FROM result") == []
