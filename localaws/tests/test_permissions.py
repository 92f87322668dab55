"""Permissions: sessions of roles may do only what their policies allow, as on AWS."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from laboratory import Laboratory, error_of
from localaws.account import ACCOUNT_ID, REGION
from sample_photographs import photograph, resized

EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def allow(*actions: str, resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{resource}"


def needs(laboratory: Laboratory, call: Callable[[], Any]) -> list[tuple[str, str]]:
    """Return the permissions that a call needs, whose caller has all permissions."""
    laboratory.aws.permissions.asked.clear()
    call()
    return [(one.action, one.resource) for one in laboratory.aws.permissions.asked]


@pytest.fixture
def bucket(laboratory: Laboratory) -> str:
    """A versioned bucket with an object ``a``."""
    laboratory.s3.create_bucket(Bucket="bucket")
    laboratory.s3.put_bucket_versioning(
        Bucket="bucket", VersioningConfiguration={"Status": "Enabled"}
    )
    laboratory.s3.put_object(Bucket="bucket", Key="a", Body=b"1")
    return "bucket"


def test_what_calls_to_s3_need(laboratory: Laboratory, bucket: str) -> None:
    s3 = laboratory.client("s3", laboratory.session(EVERYTHING))
    the_object = {"Bucket": bucket, "Key": "a"}
    version = s3.head_object(**the_object)["VersionId"]
    is_here, a, b = "arn:aws:s3:::bucket", "arn:aws:s3:::bucket/a", "arn:aws:s3:::bucket/b ü"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]

    for call, expected in (
        (lambda: s3.get_object(**the_object), [("s3:GetObject", a)]),
        (lambda: s3.head_object(**the_object), [("s3:GetObject", a)]),
        (
            lambda: s3.get_object(**the_object, VersionId=version),
            [("s3:GetObjectVersion", a)],
        ),
        (lambda: s3.head_bucket(Bucket=bucket), [("s3:ListBucket", is_here)]),
        (lambda: s3.list_objects(Bucket=bucket), [("s3:ListBucket", is_here)]),
        (
            lambda: s3.list_objects_v2(Bucket=bucket, Prefix="x", StartAfter="y"),
            [("s3:ListBucket", is_here)],
        ),
        (lambda: s3.list_object_versions(Bucket=bucket), [("s3:ListBucketVersions", is_here)]),
        (
            lambda: s3.upload_part(**the_object, UploadId=upload, PartNumber=1, Body=b"1"),
            [("s3:PutObject", a)],
        ),
        (
            lambda: s3.abort_multipart_upload(**the_object, UploadId=upload),
            [("s3:AbortMultipartUpload", a)],
        ),
        (
            lambda: s3.copy_object(
                Bucket=bucket, Key="b ü", CopySource={**the_object, "VersionId": version}
            ),
            [("s3:GetObjectVersion", a), ("s3:PutObject", b)],
        ),
        (
            lambda: s3.delete_object(**the_object, VersionId=version),
            [("s3:DeleteObjectVersion", a)],
        ),
        (lambda: s3.delete_object(**the_object), [("s3:DeleteObject", a)]),
    ):
        assert needs(laboratory, call) == expected


def test_what_calls_to_dynamodb_need(laboratory: Laboratory) -> None:
    key = {"TableName": "table", "Key": {"id": {"S": "1"}}}
    laboratory.client("dynamodb").create_table(
        TableName="table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "index",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    dynamodb = laboratory.client("dynamodb", laboratory.session(EVERYTHING))
    table, index = arn("dynamodb", "table/table"), arn("dynamodb", "table/table/index/index")
    item = {"TableName": "table", "Item": {"id": {"S": "2"}}}
    check = {**key, "ConditionExpression": "attribute_not_exists(id)"}

    assert needs(laboratory, lambda: dynamodb.get_item(**key)) == [("dynamodb:GetItem", table)]
    assert needs(laboratory, lambda: dynamodb.scan(TableName="table", IndexName="index")) == [
        ("dynamodb:Scan", index)
    ]
    batch = {"table": {"Keys": [key["Key"]]}}
    assert needs(laboratory, lambda: dynamodb.batch_get_item(RequestItems=batch)) == [
        ("dynamodb:BatchGetItem", table)
    ]
    transaction = [{"Put": item}, {"ConditionCheck": check}]
    assert needs(laboratory, lambda: dynamodb.transact_write_items(TransactItems=transaction)) == [
        ("dynamodb:PutItem", table),
        ("dynamodb:ConditionCheckItem", table),
    ]
    laboratory.client("dynamodb").delete_table(TableName="table")


def test_rekognition_reads_s3_with_the_rights_of_the_caller(
    laboratory: Laboratory, bucket: str
) -> None:
    image = resized(photograph("obama.jpg"), 200)
    version = laboratory.s3.put_object(Bucket=bucket, Key="face", Body=image)["VersionId"]
    rekognition = laboratory.client("rekognition", laboratory.session(EVERYTHING))
    club, face = arn("rekognition", "collection/club"), "arn:aws:s3:::bucket/face"
    stored = {"S3Object": {"Bucket": bucket, "Name": "face"}}

    assert needs(laboratory, lambda: rekognition.create_collection(CollectionId="club")) == [
        ("rekognition:CreateCollection", club)
    ]
    assert needs(laboratory, lambda: rekognition.detect_faces(Image=stored)) == [
        ("rekognition:DetectFaces", "*"),
        ("s3:GetObject", face),
    ]
    stored["S3Object"]["Version"] = version
    assert needs(
        laboratory, lambda: rekognition.index_faces(CollectionId="club", Image=stored)
    ) == [("rekognition:IndexFaces", club), ("s3:GetObjectVersion", face)]

    poor = laboratory.session(allow("rekognition:*"), name="poor")
    status, code, message = error_of(
        laboratory.client("rekognition", poor).detect_faces, Image=stored
    )
    assert (status, code) == (400, "AccessDeniedException")
    assert "assumed-role/poor/session is not authorized to perform: s3:Get" in message
    assert "on resource: arn:aws:s3:::bucket/face" in message
    rekognition.delete_collection(CollectionId="club")


def test_a_missing_key_is_only_said_to_who_may_list(laboratory: Laboratory, bucket: str) -> None:
    read = allow("s3:GetObject", resource="arn:aws:s3:::bucket/*")
    listing = allow("s3:ListBucket", resource="arn:aws:s3:::bucket")
    reader = laboratory.client("s3", laboratory.session(read, name="reader"))
    lister = laboratory.client("s3", laboratory.session(read, listing, name="lister"))

    for call, codes in (
        ("get_object", ("AccessDenied", "NoSuchKey")),
        ("head_object", ("403", "404")),
    ):
        for client, status, code in zip((reader, lister), (403, 404), codes, strict=True):
            refused = error_of(getattr(client, call), Bucket=bucket, Key="missing")
            assert refused[:2] == (status, code)
            getattr(client, call)(Bucket=bucket, Key="a")


@pytest.mark.parametrize(
    ("statement", "status"),
    [(allow("s3:PutObject", resource="arn:aws:s3:::bucket/in/*"), 204), (allow("s3:Get*"), 403)],
)
def test_a_form_can_do_what_its_signer_may(
    laboratory: Laboratory, bucket: str, statement: Any, status: int
) -> None:
    signer = laboratory.client("s3", laboratory.session(statement))
    form = signer.generate_presigned_post(Bucket=bucket, Key="in/${filename}")

    def send(fields: dict[str, str]) -> requests.Response:
        files = {"file": ("b.jpg", b"1")}
        return requests.post(form["url"], data=fields, files=files, timeout=60)

    assert send(form["fields"]).status_code == status
    without = {n: v for n, v in form["fields"].items() if n != "x-amz-security-token"}
    assert send(without).status_code >= 400
    found = laboratory.s3.list_objects_v2(Bucket=bucket, Prefix="in/").get("Contents", [])
    assert [item["Key"] for item in found] == (["in/b.jpg"] if status == 204 else [])


def test_a_presigned_address_can_do_what_its_signer_may(
    laboratory: Laboratory, bucket: str
) -> None:
    for name, statement, status in (
        ("reader", allow("s3:GetObject", resource="arn:aws:s3:::bucket/a"), 200),
        ("writer", allow("s3:PutObject"), 403),
    ):
        signer = laboratory.client("s3", laboratory.session(statement, name=name))
        url = signer.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"})

        assert requests.get(url, timeout=60).status_code == status


def test_what_nobody_has_thought_of_is_denied(laboratory: Laboratory, bucket: str) -> None:
    session = laboratory.session(EVERYTHING)
    s3 = laboratory.client("s3", session)

    assert error_of(s3.get_bucket_policy, Bucket=bucket)[1] == "AccessDenied"
    assert error_of(laboratory.client("dynamodb", session).list_backups)[1] == (
        "AccessDeniedException"
    )
    assert error_of(laboratory.client("iam", session).list_users)[:2] == (403, "AccessDenied")
    assert error_of(laboratory.client("lambda", session).list_functions)[:2] == (
        403,
        "AccessDeniedException",
    )


def test_a_policy_that_is_not_understood_denies_loudly(
    laboratory: Laboratory, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    s3 = laboratory.client("s3", laboratory.session({**EVERYTHING, "Condition": condition}))

    status, code, message = error_of(s3.get_object, Bucket=bucket, Key="a")
    assert (status, code) == (403, "AccessDenied")
    assert "not understood" in message
    assert "not understood" in caplog.text


def test_attached_policies_count_and_the_plain_credentials_may_do_everything(
    laboratory: Laboratory, bucket: str
) -> None:
    session = laboratory.session(name="reader")
    s3 = laboratory.client("s3", session)
    assert error_of(s3.get_object, Bucket=bucket, Key="a")[1] == "AccessDenied"

    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:Get*")]})
    policy = laboratory.iam.create_policy(PolicyName="read", PolicyDocument=document)["Policy"]
    laboratory.iam.attach_role_policy(RoleName="reader", PolicyArn=policy["Arn"])
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
    assert error_of(s3.put_object, Bucket=bucket, Key="a")[1] == "AccessDenied"
    laboratory.s3.put_object(Bucket=bucket, Key="a", Body=b"2")
