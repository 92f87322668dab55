"""Everything that the deployed service is for, done once, on real photographs."""

import requests

from sample_photographs import landscape, photograph, resized
from tests.deploy.deployment import BUCKET, COLLECTION, TABLE, TIMEOUT, Deployment

OBAMA, OBAMA_2, OBAMA_3, BIDEN = (
    resized(photograph(name), 400)
    for name in ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg")
)
NOBODY = landscape(400, 300)
FAILED_EVENTS = "facial-recognition-failed-events"


def rehearse(service: Deployment) -> None:
    """Use every route and every handler."""
    forget_logs(service)
    register(service)
    verify(service)
    upload(service)
    overwrite_and_remove(service)
    late_events(service)
    create_index(service)
    repair(service)
    fail(service)
    forget_unverified(service)


def forget_logs(service: Deployment) -> None:
    """Delete the log groups, as a person may: the functions make them again."""
    logs = service.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        logs.delete_log_group(logGroupName=group["logGroupName"])


def register(service: Deployment) -> None:
    answer = service.register(OBAMA, name="Barack Obama", personId="obama")
    assert answer.status_code == 201, answer.text
    assert service.register(OBAMA, name="Barack Obama", personId="obama").status_code == 200
    service.settle()
    assert service.status(answer.json()["imageKey"]) == "indexed"
    assert service.register(OBAMA, name="Barack Obama", personId="obama").status_code == 200

    answer = service.register(OBAMA, name="Somebody", personId="somebody")
    assert answer.json()["code"] == "face_registered_to_another_person"
    assert service.register(NOBODY, name="Nobody").json()["code"] == "no_face"

    upload = service.post("register", {"name": "Joe Biden", "personId": "biden"}).json()
    form = upload["upload"]
    sent = requests.post(form["url"], data=form["fields"], files={"file": BIDEN}, timeout=TIMEOUT)
    assert sent.status_code == 204, sent.text
    service.settle()
    assert service.status(upload["imageKey"]) == "indexed"


def verify(service: Deployment) -> None:
    assert service.verify(OBAMA_2).json()["person"]["personId"] == "obama"
    assert service.verify(OBAMA_2, personId="obama").json()["verified"] is True
    assert service.verify(OBAMA_2, personId="biden").json()["verified"] is False
    assert service.verify(OBAMA_2, personId="ada").json()["code"] == "person_unknown"


def upload(service: Deployment) -> None:
    service.upload("faces/obama/by hand.jpg", OBAMA_2)
    assert service.status("faces/obama/by hand.jpg") == "indexed"
    service.upload("faces/nobody/1.jpg", NOBODY)
    assert service.status("faces/nobody/1.jpg") == "rejected"


def overwrite_and_remove(service: Deployment) -> None:
    key = "faces/obama/by hand.jpg"
    before = len(service.faces())
    service.upload(key, OBAMA_3)
    assert service.status(key) == "indexed"
    assert len(service.faces()) == before
    service.remove(key)
    service.remove("faces/nobody/1.jpg")
    assert service.record(key) is None
    assert len(service.faces()) == before - 1


def late_events(service: Deployment) -> None:
    service.late_event("index_photograph", "faces/obama/gone.jpg")
    assert service.record("faces/obama/gone.jpg") is None

    key = "faces/obama/back again.jpg"
    with service.without_events():
        service.s3.put_object(Bucket=BUCKET, Key=key, Body=OBAMA_2)
    service.late_event("unindex_photograph", key.replace(" ", "+"))
    assert service.status(key) == "indexed"
    service.remove(key)


def create_index(service: Deployment) -> None:
    keys = [f"faces/{person}/new.jpg" for person in ("biden", "obama")]
    with service.without_events():
        for key, image in zip(keys, (BIDEN, OBAMA_3), strict=True):
            service.s3.put_object(Bucket=BUCKET, Key=key, Body=image)
    report = service.create_index(imageKey=keys[0])
    assert [photo["imageKey"] for photo in report["indexed"]] == keys[:1]
    report = service.create_index(personId="obama")
    assert [photo["imageKey"] for photo in report["indexed"]] == keys[1:]
    with service.without_events():
        for key in keys:
            service.s3.delete_object(Bucket=BUCKET, Key=key)
    assert service.create_index()["removed"] == 2

    answer = service.post("create-index", {"nextToken": "nonsense"})
    assert answer.json()["code"] == "malformed_request"


def repair(service: Deployment) -> None:
    rekognition = service.client("rekognition")
    there = len(service.faces())
    rekognition.delete_collection(CollectionId=COLLECTION)
    assert service.verify(OBAMA).status_code >= 500
    report = service.create_index(repair=True)
    assert len(report["indexed"]) == len(service.faces()) == there
    assert service.verify(OBAMA_2).json()["verified"] is True


def forget_unverified(service: Deployment) -> None:
    key = "faces/biden/unfinished.jpg"
    service.s3.create_multipart_upload(Bucket=BUCKET, Key=key)
    table = service.client("dynamodb")
    for item in table.scan(TableName=TABLE)["Items"]:
        if item["personId"]["S"] == "biden":
            long_ago = {"S": "2020-01-01T00:00:00+00:00"}
            dates = {"registeredAt": long_ago, "indexedAt": long_ago}
            table.put_item(TableName=TABLE, Item={**item, **dates})
    assert service.verify(BIDEN).json()["verified"] is True

    service.run_schedule()

    assert service.verify(BIDEN).json()["verified"] is True
    for item in table.scan(TableName=TABLE)["Items"]:
        if "verifiedOn" in item and item["personId"]["S"] == "biden":
            table.put_item(TableName=TABLE, Item={**item, "verifiedOn": {"S": "2020-01-01"}})

    with service.without_events():
        # Who has a new photograph is not forgotten, and all are new here.
        for found in service.s3.list_objects_v2(Bucket=BUCKET, Prefix="faces/biden/")["Contents"]:
            service.s3.delete_object(Bucket=BUCKET, Key=found["Key"])
        service.run_schedule()

    assert {item["personId"]["S"] for item in table.scan(TableName=TABLE)["Items"]} == {"obama"}
    assert service.verify(BIDEN).json()["verified"] is False
    assert service.verify(OBAMA_2).json()["verified"] is True
    versions = service.s3.list_object_versions(Bucket=BUCKET, Prefix="faces/biden/")
    assert not {"Versions", "DeleteMarkers"}.intersection(versions)
    assert "Uploads" not in service.s3.list_multipart_uploads(Bucket=BUCKET)


def fail(service: Deployment) -> None:
    queues = service.client("sqs")
    url = queues.get_queue_url(QueueName=FAILED_EVENTS)["QueueUrl"]
    for handler in ("index_photograph", "unindex_photograph"):
        service.invoke(handler, {"Records": [{"no": "event of S3"}]})
        (message,) = queues.receive_message(QueueUrl=url)["Messages"]
        assert '"condition": "RetriesExhausted"' in message["Body"]
        queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
