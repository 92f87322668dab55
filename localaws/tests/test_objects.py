"""What S3 has acknowledged is there, with its event, whatever happens in between."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import boto3
import pytest
from botocore.config import Config

from laboratory import error_of
from localaws.account import arn
from localaws.data_folder import SERVICES
from localaws.server import EmbeddedAWS

BUCKET, FUNCTION = "objects", "index"


class Store:
    """An embedded AWS with a bucket, which can be started again on the same folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.events: list[tuple[str, str]] = []
        """Names and keys of the events that the bucket's function got."""
        self.open()

    def open(self) -> None:
        self._aws = EmbeddedAWS(data=str(self._folder))
        self._aws.start()
        self._aws.functions.add({FUNCTION: self._handle})
        self._aws.functions.redeliver()
        key = self._aws.access_key
        self.s3: Any = boto3.client(
            "s3",
            endpoint_url=self._aws.url,
            region_name="us-east-1",
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def close(self) -> None:
        self._aws.stop()

    def drain(self) -> list[tuple[str, str]]:
        """Return the events since the last call, once all of them are handled."""
        self._aws.functions.drain()
        events, self.events = self.events, []
        return events

    def _handle(self, event: Any, request_id: str) -> None:
        for record in event["Records"]:
            key = unquote_plus(record["s3"]["object"]["key"])
            self.events.append((record["eventName"], key))

    def contents(self) -> dict[str, bytes]:
        """Return the objects by key."""
        listed = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        get = self.s3.get_object
        return {o["Key"]: get(Bucket=BUCKET, Key=o["Key"])["Body"].read() for o in listed}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A versioned bucket whose changes are told to a function."""
    store = Store(tmp_path / "data")
    store.s3.create_bucket(Bucket=BUCKET)
    store.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    configuration = {
        "LambdaFunctionArn": arn("lambda", f"function:{FUNCTION}"),
        "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
    }
    store.s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"LambdaFunctionConfigurations": [configuration]}
    )
    yield store
    store.close()


def rename_events(folder: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(folder / SERVICES)) as database:
        database.execute(f"ALTER TABLE {old} RENAME TO {new}")
        database.commit()


def test_no_change_is_stored_without_its_event(store: Store, tmp_path: Path) -> None:
    store.s3.put_object(Bucket=BUCKET, Key="kept", Body=b"kept")
    rename_events(tmp_path / "data", "events", "away")

    for call, options in ((store.s3.put_object, {"Body": b"new"}), (store.s3.delete_object, {})):
        assert error_of(call, Bucket=BUCKET, Key="kept", **options)[0] == 503
        assert store.contents() == {"kept": b"kept"}
    rename_events(tmp_path / "data", "away", "events")
    store.close()
    store.open()
    assert store.contents() == {"kept": b"kept"}
    assert set(store.drain()) == {("ObjectCreated:Put", "kept")}  # perhaps twice, after a start
    store.s3.delete_object(Bucket=BUCKET, Key="kept")
    assert store.drain() == [("ObjectRemoved:DeleteMarkerCreated", "kept")]


def test_a_key_may_be_deleted_twice_and_used_again(store: Store) -> None:
    where = {"Bucket": BUCKET, "Key": "key"}
    store.s3.put_object(**where, Body=b"first")
    for _ in range(3):
        store.s3.delete_object(**where)
    assert store.contents() == {}
    store.close()
    store.open()
    store.s3.delete_object(**where)
    store.s3.put_object(**where, Body=b"second")

    assert store.contents() == {"key": b"second"}
    versions = store.s3.list_object_versions(Bucket=BUCKET)
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (2, 4)
    newest = versions["DeleteMarkers"][0]["VersionId"]
    store.s3.delete_object(**where, VersionId=newest)
    assert store.contents() == {"key": b"second"}


class Model:
    """What S3 documents about a bucket with versions, in a few lines.

    Source: "How S3 Versioning works" in the Amazon S3 User Guide.
    """

    def __init__(self) -> None:
        self.versions: dict[str, list[tuple[str, bytes | None]]] = {}
        """The versions of each key, the oldest first; a delete marker has no content."""

    def contents(self) -> dict[str, bytes]:
        latest = {key: versions[-1][1] for key, versions in self.versions.items() if versions}
        return {key: content for key, content in latest.items() if content is not None}

    def add(self, key: str, version: str, content: bytes | None) -> None:
        self.versions.setdefault(key, []).append((version, content))


@pytest.mark.parametrize("seed", range(2))
def test_any_sequence_of_changes_ends_as_documented(store: Store, seed: int) -> None:
    chance, model = random.Random(seed), Model()
    told: list[tuple[str, str]] = []
    for step in range(80):
        key, other = chance.choices(["a", "b", "ü +/c"], k=2)
        where = {"Bucket": BUCKET, "Key": key}
        match chance.choice(["put", "put", "delete", "delete", "copy", "version", "open"]):
            case "put":
                content = f"{step}".encode()
                model.add(key, store.s3.put_object(**where, Body=content)["VersionId"], content)
                told.append(("ObjectCreated:Put", key))
            case "delete" if model.versions.get(key):
                model.add(key, store.s3.delete_object(**where)["VersionId"], None)
                told.append(("ObjectRemoved:DeleteMarkerCreated", key))
            case "copy":
                where |= {"MetadataDirective": "REPLACE"}  # S3 copies a key to itself only so
                source = {"Bucket": BUCKET, "Key": other}
                if other not in model.contents():
                    assert error_of(store.s3.copy_object, **where, CopySource=source)[0] == 404
                    continue
                answer = store.s3.copy_object(**where, CopySource=source)
                model.add(key, answer["VersionId"], model.contents()[other])
                told.append(("ObjectCreated:Copy", key))
            case "version" if model.versions.get(key):
                gone = model.versions[key].pop(chance.randrange(len(model.versions[key])))
                store.s3.delete_object(**where, VersionId=gone[0])
                told.append(("ObjectRemoved:Delete", key))
            case "open" if chance.random() < 0.2:
                store.close()
                store.open()
        assert store.contents() == model.contents(), step
    assert set(store.drain()) == set(told)  # some may come twice, after a start
