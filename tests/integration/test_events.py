"""Photographs that any client uploads to S3 or deletes there are indexed and removed."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from facial_recognition.local.project import Project
from sample_photographs import darkened, group, landscape, photograph
from tests.support.service import BUCKET, Service

KEY = "faces/obama/1.jpg"


def test_a_plain_upload_registers_the_person_of_its_folder(service: Service) -> None:
    service.upload(KEY, photograph("obama.jpg"))

    person = service.verify(photograph("obama2.jpg")).json()["person"]
    assert person == {"personId": "obama", "name": "obama"}
    service.assert_consistent()


def test_metadata_gives_the_name(service: Service) -> None:
    service.upload(KEY, photograph("obama.jpg"), Metadata={"name": "B.%20%C3%93bama"})

    assert service.verify(photograph("obama2.jpg")).json()["person"]["name"] == "B. Óbama"


def test_a_removed_photograph_is_forgotten(service: Service) -> None:
    service.upload(KEY, photograph("obama.jpg"))
    service.remove(KEY)

    assert service.whose(photograph("obama.jpg")) is None
    assert service.items() == {}
    assert service.faces() == []


def test_an_overwritten_photograph_is_indexed_again(service: Service) -> None:
    service.upload(KEY, photograph("obama.jpg"))
    service.upload(KEY, photograph("biden.jpg"))

    assert service.whose(photograph("obama2.jpg")) is None
    assert service.whose(photograph("biden.jpg")) == "obama"  # the folder tells the person
    assert len(service.faces()) == 1
    service.assert_consistent()


def test_a_photograph_overwritten_by_one_without_a_face_loses_its_face(service: Service) -> None:
    service.upload(KEY, photograph("obama.jpg"))
    service.upload(KEY, landscape())

    assert service.faces() == []
    record = service.photograph(KEY)
    assert record is not None
    assert (record["status"], record["reason"]) == ("rejected", "no_face")
    assert record["detail"]
    service.assert_consistent()


def test_of_several_faces_the_largest_is_indexed(service: Service) -> None:
    both = group("obama.jpg", "biden.jpg", heights=(900, 450))
    service.upload(KEY, both)

    assert service.whose(photograph("obama2.jpg")) == "obama"
    assert service.whose(photograph("biden.jpg")) is None
    service.assert_consistent()


@pytest.mark.parametrize(
    ("key", "image", "reason"),
    [
        ("faces/nobody.jpg", photograph("obama.jpg"), "invalid_key"),
        ("faces/no body/1.jpg", photograph("obama.jpg"), "invalid_key"),
        ("faces/../1.jpg", photograph("obama.jpg"), "invalid_key"),
        ("faces/ada/notes.jpg", b"This is a text file.", "unsupported_image"),
        ("faces/ada/empty.jpg", b"", "unsupported_image"),
        ("faces/ada/cut.jpg", photograph("obama.jpg")[:50_000], "unsupported_image"),
        ("faces/ada/dark.jpg", darkened(photograph("obama.jpg"), 0.045), "poor_quality"),
        ("faces/ada/view.jpg", landscape(), "no_face"),
        ("faces/ada/big.jpg", photograph("obama.jpg") + bytes(15 << 20), "image_too_large"),
    ],
)
def test_a_rejected_photograph_is_recorded_with_the_reason(
    service: Service, key: str, image: bytes, reason: str
) -> None:
    service.upload(key, image)

    record = service.photograph(key)
    assert record is not None
    assert (record["status"], record["reason"]) == ("rejected", reason)
    assert service.faces() == []
    service.assert_consistent()


@pytest.mark.parametrize("key", ["faces/", "faces/ada/", "elsewhere/ada/1.jpg"])
def test_objects_that_are_not_photographs_are_ignored(service: Service, key: str) -> None:
    service.upload(key, b"")

    assert service.items() == {}


@pytest.mark.parametrize(
    "name",
    [
        "a b.jpg",
        "a+b.jpg",
        "a%2Bb.jpg",
        "صورة.jpg",
        "写真 1.jpg",
        "sub/folder/é.JPEG",
        "a&b=c?.jpg",
    ],
)
def test_keys_may_hold_any_character(service: Service, name: str) -> None:
    key = f"faces/obama/{name}"
    service.upload(key, photograph("obama.jpg"))
    (match,) = service.verify(photograph("obama2.jpg")).json()["matches"]
    service.remove(key)

    assert match["imageKey"] == key
    assert service.items() == {}


def test_a_late_or_repeated_event_changes_nothing(service: Service, project: Project) -> None:
    service.upload(KEY, photograph("obama.jpg"))
    before = service.items()
    for function in ("index_photograph", "unindex_photograph"):
        deliver(service, project, function, KEY)
        deliver(service, project, function, KEY)

    assert service.items() == before
    service.assert_consistent()


def test_a_deletion_event_before_the_upload_does_no_harm(
    service: Service, project: Project
) -> None:
    deliver(service, project, "unindex_photograph", KEY)
    service.upload(KEY, photograph("obama.jpg"))
    service.remove(KEY)
    deliver(service, project, "index_photograph", KEY)

    assert service.items() == {}
    assert service.faces() == []


def test_a_record_written_after_its_photograph_was_deleted_is_deleted_too(
    service: Service, project: Project
) -> None:
    service.table.put_item(
        Item={"faceId": f"image#{KEY}", "personId": "obama", "name": "x", "status": "registered"}
    )
    deliver(service, project, "unindex_photograph", KEY)

    assert service.items() == {}


def test_a_copy_a_multipart_upload_and_a_bulk_deletion_are_handled(service: Service) -> None:
    service.upload("elsewhere/1.jpg", photograph("obama.jpg"))
    service.s3.copy_object(
        Bucket=BUCKET, Key="faces/obama/copy.jpg", CopySource=f"{BUCKET}/elsewhere/1.jpg"
    )
    upload = {"Bucket": BUCKET, "Key": "faces/biden/parts.jpg"}
    upload["UploadId"] = service.s3.create_multipart_upload(
        **upload, Metadata={"name": "Joe%20Biden"}
    )["UploadId"]
    part = service.s3.upload_part(**upload, PartNumber=1, Body=photograph("biden.jpg"))
    service.s3.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    service.settle()

    assert service.whose(photograph("obama2.jpg")) == "obama"
    assert service.verify(photograph("biden.jpg")).json()["person"]["name"] == "Joe Biden"

    both = [{"Key": "faces/obama/copy.jpg"}, {"Key": "faces/biden/parts.jpg"}]
    service.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": both})
    service.settle()

    assert service.faces() == []
    assert service.items() == {}


def test_the_aws_command_line_uploads_and_deletes(service: Service, tmp_path: Path) -> None:
    (tmp_path / "grace").mkdir()
    (tmp_path / "grace" / "my photo.jpg").write_bytes(photograph("obama.jpg"))

    aws_cli(service, "s3", "sync", str(tmp_path), f"s3://{BUCKET}/faces/")
    service.settle()
    assert service.whose(photograph("obama2.jpg")) == "grace"

    aws_cli(service, "s3", "rm", f"s3://{BUCKET}/faces/grace/my photo.jpg")
    service.settle()
    assert service.whose(photograph("obama2.jpg")) is None


def test_events_have_the_format_of_s3(service: Service) -> None:
    events: list[dict[str, Any]] = []
    service.aws.functions.add({"watch": lambda event, _: events.append(event)})
    service.s3.create_bucket(Bucket="watched")
    service.s3.put_bucket_notification_configuration(
        Bucket="watched",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {
                    "Id": "all",
                    "LambdaFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:watch",
                    "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}},
                }
            ]
        },
    )
    service.s3.put_object(Bucket="watched", Key="out/x", Body=b"x")
    service.s3.put_object(Bucket="watched", Key="in/ä +.txt", Body=b"hello")
    service.settle()
    service.s3.upload_fileobj(io.BytesIO(bytes(9 << 20)), "watched", "in/parts")
    service.settle()
    service.s3.delete_object(Bucket="watched", Key="in/parts")
    service.settle()

    records = [event["Records"][0] for event in events]
    assert [record["eventName"] for record in records] == [
        "ObjectCreated:Put",
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectRemoved:Delete",
    ]
    stored = records[0]["s3"]["object"]
    assert stored["key"] == "in/%C3%A4+%2B.txt"
    assert stored["size"] == 5
    assert stored["eTag"] == "5d41402abc4b2a76b9719d911017c592"
    assert records[0]["s3"]["bucket"]["arn"] == "arn:aws:s3:::watched"
    sequencers = [record["s3"]["object"]["sequencer"] for record in records]
    assert sequencers == sorted(set(sequencers))


def deliver(service: Service, project: Project, function: str, key: str) -> None:
    """Deliver an event about a key, as S3 may do at any time."""
    event = {"Records": [{"s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}}]}
    service.aws.functions.call(project.function_name(function), event)


def aws_cli(service: Service, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "awscli", "--endpoint-url", service.aws.url, *arguments],
        env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true"},
        check=True,
        capture_output=True,
    )
