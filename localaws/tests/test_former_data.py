"""Data on disk stays readable when modules get other names."""

import sqlite3
import sys
from pathlib import Path

import moto
import pytest

from laboratory import Laboratory
from localaws import pickling
from localaws.server import EmbeddedAWS

FORMER = "localaws.persistence.pickling"


def test_data_that_names_the_former_module_is_loaded(
    laboratory: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as former:
        former.setitem(sys.modules, FORMER, pickling)
        for function in (pickling._new, pickling._restore):
            former.setattr(function, "__module__", FORMER)
        with EmbeddedAWS(data=str(tmp_path)) as aws:
            fill(Laboratory(aws))
    with sqlite3.connect(tmp_path / "services.db") as database:
        [(state,)] = database.execute("SELECT state FROM buckets")
        [(marker,)] = database.execute("SELECT name FROM written_by")
    assert FORMER.encode() in state
    assert marker == f"localaws.persistence 1 with moto {moto.__version__}"
    laboratory.clear()

    with EmbeddedAWS(data=str(tmp_path)) as aws:
        again = Laboratory(aws)
        found = again.s3.get_object(Bucket="bucket", Key="key")
        assert (found["Body"].read(), found["Metadata"]) == (b"body", {"name": "value"})
        uploads = again.s3.list_multipart_uploads(Bucket="bucket")["Uploads"]
        assert [upload["Key"] for upload in uploads] == ["parts"]
        assert again.tables().Table("table").scan()["Items"] == [{"id": "1", "number": 1}]
        assert again.received() == [{"a": 1}]


def fill(laboratory: Laboratory) -> None:
    """Make data of every kind that is pickled."""
    laboratory.s3.create_bucket(Bucket="bucket")
    laboratory.s3.put_object(Bucket="bucket", Key="key", Body=b"body", Metadata={"name": "value"})
    upload = laboratory.s3.create_multipart_upload(Bucket="bucket", Key="parts")
    part = {"Bucket": "bucket", "Key": "parts", "UploadId": upload["UploadId"]}
    laboratory.s3.upload_part(**part, PartNumber=1, Body=b"part")
    table = laboratory.tables().create_table(
        TableName="table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    table.put_item(Item={"id": "1", "number": 1})
    laboratory.queue()
    sqs = laboratory.client("sqs")
    url = sqs.get_queue_url(QueueName="queue")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody='{"a": 1}')
