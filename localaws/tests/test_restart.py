"""A server that is killed and started again on the same folder has all its data."""

import json
import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from processes import LOCALAWS, session_of, started, wait_for
from sample_photographs import photograph, resized

BUCKET, TABLE, COLLECTION = "bucket", "table", "collection"
WRITES = 500


class Server:
    """A process that keeps its data in a folder, and its clients."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._session = session_of(process)
        self.url = wait_for(process, r"^ready \S+ (\S+)$")[1]
        self.s3 = self._client("s3")
        self.dynamodb = self._client("dynamodb")
        self.sqs = self._client("sqs")
        self.rekognition = self._client("rekognition")

    def _client(self, service: str) -> Any:
        return self._session.client(
            service,
            endpoint_url=self.url,
            config=Config(
                retries={"total_max_attempts": 1},
                max_pool_connections=32,
                read_timeout=30,
                signature_version="s3v4" if service == "s3" else None,
            ),
        )

    def kill(self) -> None:
        """Kill the process; its children notice it by themselves."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    with started(*LOCALAWS, "--port", "0", "--data", str(folder), *options) as process:
        yield Server(process)


def create_resources(server: Server) -> None:
    """Create a versioned bucket, a table and a collection."""
    s3 = server.s3
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    rule = {"AllowedMethods": ["POST"], "AllowedOrigins": ["*"]}
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [rule]})
    function = {
        "LambdaFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "faces/"}]}},
    }
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"LambdaFunctionConfigurations": [function]}
    )
    server.dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "faceId", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "faceId", "KeyType": "HASH"}],
    )
    server.rekognition.create_collection(CollectionId=COLLECTION)


# --- killed in the middle of 500 writes -------------------------------------------------------


class Writes:
    """Writes faces, objects and items at once, and collects the acknowledged ones."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._face = resized(photograph("obama.jpg"), 240)
        self._lock = threading.Lock()
        self.acknowledged: set[int] = set()
        self.enough = threading.Event()

    def write(self, number: int) -> None:
        """Write a face, an object or an item, and record the server's acknowledgement."""
        try:
            (self._index, self._put_object, self._put_item)[number % 3](number)
        except (BotoCoreError, ClientError):
            return
        with self._lock:
            self.acknowledged.add(number)
            if len(self.acknowledged) >= WRITES // 2:
                self.enough.set()

    def _index(self, number: int) -> None:
        indexed = self._server.rekognition.index_faces(
            CollectionId=COLLECTION,
            Image={"Bytes": self._face},
            ExternalImageId=f"face-{number}",
        )
        assert len(indexed["FaceRecords"]) == 1

    def _put_object(self, number: int) -> None:
        self._server.s3.put_object(
            Bucket=BUCKET,
            Key=f"kept/{number}",
            Body=body_of(number),
            Metadata={"number": str(number)},
        )

    def _put_item(self, number: int) -> None:
        self._server.dynamodb.put_item(TableName=TABLE, Item=item_of(number))


def body_of(number: int) -> bytes:
    return random.Random(number).randbytes(50_000 + number)


def item_of(number: int) -> dict[str, Any]:
    text = random.Random(number).randbytes(500).hex()
    return {"faceId": {"S": f"kept-{number}"}, "text": {"S": text}, "number": {"N": str(number)}}


def test_killed_in_the_middle_of_500_writes_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        create_resources(server)
        writes = Writes(server)
        with ThreadPoolExecutor(24) as pool:
            for number in range(WRITES):
                pool.submit(writes.write, number)
            assert writes.enough.wait(60)
            server.kill()
    acknowledged = writes.acknowledged
    assert WRITES // 2 <= len(acknowledged) < WRITES

    with serving(tmp_path) as server:
        faces, objects, items = found_faces(server), found_objects(server), found_items(server)

    assert acknowledged <= faces | objects | items
    assert faces | objects | items <= set(range(WRITES))


def found_faces(server: Server) -> set[int]:
    """Return the numbers of the stored faces, and check that each is complete."""
    listed = server.rekognition.list_faces(CollectionId=COLLECTION, MaxResults=4096)["Faces"]
    described = server.rekognition.describe_collection(CollectionId=COLLECTION)
    assert described["FaceCount"] == len(listed)
    by_image = server.rekognition.search_faces_by_image(
        CollectionId=COLLECTION, Image={"Bytes": resized(photograph("obama.jpg"), 240)}
    )
    found = {match["Face"]["FaceId"]: match["Similarity"] for match in by_image["FaceMatches"]}
    assert found == {face["FaceId"]: pytest.approx(100, abs=0.01) for face in listed}
    names = [face["ExternalImageId"] for face in listed]
    assert len(names) == len(set(names))
    return {int(name.removeprefix("face-")) for name in names}


def found_objects(server: Server) -> set[int]:
    versions = server.s3.list_object_versions(Bucket=BUCKET, Prefix="kept/").get("Versions", [])
    numbers = [int(version["Key"].removeprefix("kept/")) for version in versions]
    assert len(numbers) == len(set(numbers))
    for number in numbers:
        stored = server.s3.get_object(Bucket=BUCKET, Key=f"kept/{number}")
        assert stored["Body"].read() == body_of(number)
        assert stored["Metadata"] == {"number": str(number)}
    return set(numbers)


def found_items(server: Server) -> set[int]:
    items = server.dynamodb.scan(TableName=TABLE)["Items"]
    numbers = {int(item["number"]["N"]) for item in items}
    assert sorted(items, key=str) == sorted(map(item_of, numbers), key=str)
    return numbers


# --- everything else --------------------------------------------------------------------------


def test_everything_is_as_it_was(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        create_resources(server)
        upload = fill(server)
        before = seen(server, upload)
        server.kill()

    with serving(tmp_path) as server:
        after = seen(server, upload)
        finish(server, upload)
    assert after == before

    with serving(tmp_path, "--fresh") as server:
        assert server.s3.list_buckets()["Buckets"] == []
        assert server.dynamodb.list_tables()["TableNames"] == []
        assert server.sqs.list_queues().get("QueueUrls", []) == []
        assert server.rekognition.list_collections()["CollectionIds"] == []


def fill(server: Server) -> dict[str, Any]:
    """Store data of every kind, and begin a multipart upload."""
    s3, dynamodb, rekognition = server.s3, server.dynamodb, server.rekognition
    s3.create_bucket(Bucket="second")
    s3.put_bucket_tagging(Bucket="second", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    s3.create_bucket(Bucket="third")
    s3.delete_bucket(Bucket="third")
    old = s3.put_object(Bucket=BUCKET, Key="ü +1", Body=b"old", Tagging="tag=1")
    s3.put_object(Bucket=BUCKET, Key="ü +1", Body=b"new", ContentType="image/jpeg")
    source = {"Bucket": BUCKET, "Key": "ü +1", "VersionId": old["VersionId"]}
    s3.copy_object(Bucket="second", Key="copy", CopySource=source)
    for name in ("x", "y", "z"):
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"gone")
    s3.delete_object(Bucket=BUCKET, Key="x")
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "y"}]})
    version = s3.head_object(Bucket=BUCKET, Key="z")["VersionId"]
    s3.delete_object(Bucket=BUCKET, Key="z", VersionId=version)
    form = s3.generate_presigned_post(BUCKET, "form")
    post(form, b"from a form")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts", Metadata={"name": "x"})
    address = {name: upload[name] for name in ("Bucket", "Key", "UploadId")}
    first = s3.upload_part(**address, PartNumber=1, Body=b"a" * 5 * 1024 * 1024)

    names = ["put", "change", "delete"]
    writes = [{"PutRequest": {"Item": {"faceId": {"S": name}}}} for name in names]
    dynamodb.batch_write_item(RequestItems={TABLE: writes})
    dynamodb.update_item(
        TableName=TABLE,
        Key={"faceId": {"S": "change"}},
        UpdateExpression="SET things = :t",
        ExpressionAttributeValues={":t": {"L": [{"M": {"b": {"B": b"\0"}}}, {"NS": ["1", "2"]}]}},
    )
    dynamodb.transact_write_items(
        TransactItems=[
            {"Delete": {"TableName": TABLE, "Key": {"faceId": {"S": "delete"}}}},
            {"Put": {"TableName": TABLE, "Item": {"faceId": {"S": "in a transaction"}}}},
        ]
    )
    dynamodb.execute_statement(Statement=f"INSERT INTO \"{TABLE}\" VALUE {{'faceId': 'by SQL'}}")
    queue = server.sqs.create_queue(QueueName="mine")["QueueUrl"]
    server.sqs.send_message(QueueUrl=queue, MessageBody="hello")

    image = {"Bytes": photograph("obama.jpg")}
    face = rekognition.index_faces(CollectionId=COLLECTION, Image=image)["FaceRecords"][0]["Face"]
    token = {"UserId": "obama", "ClientRequestToken": "once"}
    rekognition.create_user(CollectionId=COLLECTION, **token)
    rekognition.create_user(CollectionId=COLLECTION, **token)
    rekognition.associate_faces(CollectionId=COLLECTION, UserId="obama", FaceIds=[face["FaceId"]])
    rekognition.create_collection(CollectionId="tagged", Tags={"team": "blue"})
    return {**address, "ETag": first["ETag"]}


def post(form: dict[str, Any], content: bytes) -> None:
    answer = requests.post(form["url"], data=form["fields"], files={"file": content}, timeout=30)
    assert answer.ok, answer.text


def seen(server: Server, upload: dict[str, Any]) -> str:
    """Return everything that a client can see, as text."""
    s3, dynamodb, rekognition = server.s3, server.dynamodb, server.rekognition
    address = {name: upload[name] for name in ("Bucket", "Key", "UploadId")}
    versions = s3.list_object_versions(Bucket=BUCKET)
    contents = [
        s3.get_object(Bucket=BUCKET, Key=v["Key"], VersionId=v["VersionId"])
        for v in versions["Versions"]
    ]
    arn = rekognition.describe_collection(CollectionId="tagged")["CollectionARN"]
    answers = [
        s3.list_buckets(),
        versions,
        *({**c, "Body": c["Body"].read()} for c in contents),
        s3.list_objects_v2(Bucket="second"),
        s3.get_bucket_tagging(Bucket="second"),
        s3.get_object_tagging(Bucket="second", Key="copy"),
        s3.get_bucket_versioning(Bucket=BUCKET),
        s3.get_bucket_cors(Bucket=BUCKET),
        s3.get_bucket_notification_configuration(Bucket=BUCKET),
        s3.list_parts(**address),
        dynamodb.describe_table(TableName=TABLE),
        dynamodb.scan(TableName=TABLE),
        rekognition.list_collections(),
        rekognition.describe_collection(CollectionId=COLLECTION),
        rekognition.list_faces(CollectionId=COLLECTION),
        rekognition.list_users(CollectionId=COLLECTION),
        rekognition.search_users_by_image(
            CollectionId=COLLECTION, Image={"Bytes": photograph("obama2.jpg")}
        ),
        rekognition.list_tags_for_resource(ResourceArn=arn),
    ]
    return json.dumps([{**a, "ResponseMetadata": None} for a in answers], default=str, indent=1)


def finish(server: Server, upload: dict[str, Any]) -> None:
    """Continue the work that began before the restart."""
    address = {name: upload[name] for name in ("Bucket", "Key", "UploadId")}
    second = server.s3.upload_part(**address, PartNumber=2, Body=b"b")
    parts = [
        {"PartNumber": number, "ETag": etag}
        for number, etag in enumerate((upload["ETag"], second["ETag"]), 1)
    ]
    server.s3.complete_multipart_upload(**address, MultipartUpload={"Parts": parts})
    stored = server.s3.get_object(Bucket=BUCKET, Key="parts")
    assert stored["Body"].read() == b"a" * 5 * 1024 * 1024 + b"b"
    assert stored["Metadata"] == {"name": "x"}
    queue = server.sqs.get_queue_url(QueueName="mine")["QueueUrl"]
    assert server.sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "hello"
    request = {"CollectionId": COLLECTION, "UserId": "obama", "ClientRequestToken": "once"}
    server.rekognition.create_user(**request)  # the token makes it the same request as before


def test_a_body_that_is_damaged_is_not_given_out(tmp_path: Path) -> None:
    body = random.Random(0).randbytes(30_000)
    with serving(tmp_path) as server:
        server.s3.create_bucket(Bucket=BUCKET)
        server.s3.put_object(Bucket=BUCKET, Key="kept/1", Body=body)
        os.kill(server.process.pid, signal.SIGTERM)
        server.process.communicate()
    file = tmp_path / "services.db"
    content = file.read_bytes()
    where = content.index(body[:1000])
    file.write_bytes(content[:where] + b"?" + content[where + 1 :])

    with serving(tmp_path) as server, pytest.raises(ClientError) as refused:
        server.s3.get_object(Bucket=BUCKET, Key="kept/1")

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
