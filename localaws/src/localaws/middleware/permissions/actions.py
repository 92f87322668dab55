"""What a request needs to be allowed: the actions that IAM knows, and the resources.

Source: "Actions, resources, and condition keys for AWS services" in the Service Authorization
Reference; for S3 also "Required permissions for Amazon S3 API operations" in its User Guide.
"""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from localaws.account import ACCOUNT_ID, REGION
from localaws.operations import query_of, s3_location, s3_operation
from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Need(NamedTuple):
    """An action on a resource that has to be allowed."""

    action: str
    resource: str


class UnknownOperation(Exception):
    """It is not known what a request needs."""


def needs_of(environ: "WSGIEnvironment", service: str) -> list[Need]:
    """Return what a request needs, all of it.

    Raises:
        UnknownOperation: nobody has written that down here.
    """
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if not target and service in ("s3", ""):
        return list(_s3(environ))
    if service == "sts" and b"Action=GetCallerIdentity" in read_body(environ):
        return []  # anybody may ask who he is
    operation = target.rpartition(".")[2]
    try:
        find = _JSON_SERVICES[service]
        return list(find(operation, json.loads(read_body(environ) or b"{}")))
    except (KeyError, ValueError, TypeError) as error:
        raise UnknownOperation(f"{service}:{operation or environ.get('PATH_INFO')}") from error


def list_bucket(bucket: str) -> Need:
    """Return what one needs to be told that a key is missing."""
    return Need("s3:ListBucket", f"arn:aws:s3:::{bucket}")


# --- S3 -------------------------------------------------------------------------------------

_ON_OBJECT = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "PutObject": "PutObject",
    "DeleteObject": "DeleteObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
    "ListParts": "ListMultipartUploadParts",
}
_ON_BUCKET = {
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
}
_OF_VERSIONS = ("GetObject", "DeleteObject")


def _s3(environ: "WSGIEnvironment") -> Iterator[Need]:
    operation = s3_operation(environ)
    bucket, key = s3_location(environ)
    version = "Version" if "versionId" in query_of(environ) else ""
    if operation in _ON_BUCKET:
        yield Need(f"s3:{_ON_BUCKET[operation]}", f"arn:aws:s3:::{bucket}")
    elif operation in _ON_OBJECT:
        action = _ON_OBJECT[operation]
        suffix = version if action in _OF_VERSIONS else ""
        yield Need(f"s3:{action}{suffix}", _object(bucket, key))
    elif operation in ("CopyObject", "UploadPartCopy"):
        source, _, query = environ["HTTP_X_AMZ_COPY_SOURCE"].partition("?")
        from_bucket, _, from_key = unquote(source).removeprefix("/").partition("/")
        suffix = "Version" if "versionId" in parse_qs(query) else ""
        yield Need(f"s3:GetObject{suffix}", _object(from_bucket, from_key))
        yield Need("s3:PutObject", _object(bucket, key))
    elif operation == "DeleteObjects":
        # AWS would refuse only those objects that may not be deleted; here it is all or none.
        asked = ElementTree.fromstring(read_body(environ))  # noqa: S314 - by an SDK, of this machine
        for item in asked.iterfind("{*}Object"):
            suffix = "Version" if item.findtext("{*}VersionId") else ""
            yield Need(f"s3:DeleteObject{suffix}", _object(bucket, item.findtext("{*}Key", "")))
    elif operation == "ListBuckets":
        yield Need("s3:ListAllMyBuckets", "*")
    else:
        method = environ["REQUEST_METHOD"]
        raise UnknownOperation(f"s3:{operation or method} on {environ.get('PATH_INFO')}")


def post_object(bucket: str, key: str) -> Need:
    """Return what who signed the form of an upload needs when it is used."""
    return Need("s3:PutObject", _object(bucket, key))


def _object(bucket: str, key: str) -> str:
    return f"arn:aws:s3:::{bucket}/{key}"


# --- services that speak JSON -----------------------------------------------------------------

_IN_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
_ON_TABLE = frozenset(
    {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "DescribeTable"}
)
_WITHOUT_RESOURCE = frozenset(
    {"CompareFaces", "DetectFaces", "DetectLabels", "DetectModerationLabels", "ListCollections"}
)
"""Operations of Rekognition for which AWS knows no resource, only ``*``."""
_ON_COLLECTION = frozenset(
    {
        "AssociateFaces",
        "CreateCollection",
        "CreateUser",
        "DeleteCollection",
        "DeleteFaces",
        "DeleteUser",
        "DescribeCollection",
        "DisassociateFaces",
        "IndexFaces",
        "ListFaces",
        "ListUsers",
        "SearchFaces",
        "SearchFacesByImage",
        "SearchUsers",
        "SearchUsersByImage",
    }
)
_ON_QUEUE = {
    "SendMessage": "SendMessage",
    "SendMessageBatch": "SendMessage",
    "ReceiveMessage": "ReceiveMessage",
    "DeleteMessage": "DeleteMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibility": "ChangeMessageVisibility",
    "GetQueueAttributes": "GetQueueAttributes",
}


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{resource}"


def _table(parameters: Any) -> str:
    name = parameters["TableName"]
    arn = name if name.startswith("arn:") else _arn("dynamodb", f"table/{name}")
    index = parameters.get("IndexName")
    return f"{arn}/index/{index}" if index else arn


def _dynamodb(operation: str, parameters: Any) -> Iterator[Need]:
    if operation in ("TransactWriteItems", "TransactGetItems"):
        for item in parameters["TransactItems"]:
            for kind, part in item.items():
                yield Need(f"dynamodb:{_IN_TRANSACTION[kind]}", _table(part))
    elif operation in ("BatchGetItem", "BatchWriteItem"):
        for name in parameters["RequestItems"]:
            yield Need(f"dynamodb:{operation}", _table({"TableName": name}))
    elif operation in _ON_TABLE:
        yield Need(f"dynamodb:{operation}", _table(parameters))
    else:
        raise UnknownOperation(f"dynamodb:{operation}")


def _rekognition(operation: str, parameters: Any) -> Iterator[Need]:
    if operation in _WITHOUT_RESOURCE:
        yield Need(f"rekognition:{operation}", "*")
    elif operation in _ON_COLLECTION:
        collection = f"collection/{parameters['CollectionId']}"
        yield Need(f"rekognition:{operation}", _arn("rekognition", collection))
    elif operation in ("TagResource", "UntagResource", "ListTagsForResource"):
        yield Need(f"rekognition:{operation}", parameters["ResourceArn"])
    else:
        raise UnknownOperation(f"rekognition:{operation}")
    if parameters.get("Tags") and operation == "CreateCollection":
        collection = f"collection/{parameters['CollectionId']}"
        yield Need("rekognition:TagResource", _arn("rekognition", collection))
    for name in ("Image", "SourceImage", "TargetImage"):  # read with the rights of the caller
        stored = parameters.get(name, {}).get("S3Object")
        if stored:
            suffix = "Version" if stored.get("Version") else ""
            yield Need(f"s3:GetObject{suffix}", _object(stored["Bucket"], stored["Name"]))


def _logs(operation: str, parameters: Any) -> Iterator[Need]:
    if operation not in ("CreateLogGroup", "CreateLogStream", "PutLogEvents"):
        raise UnknownOperation(f"logs:{operation}")
    # A group's name is followed by its streams even where there is none: AWS's documents grant
    # CreateLogGroup, too, with ":*" at the end.
    stream = parameters.get("logStreamName", "")
    group = f"log-group:{parameters['logGroupName']}:log-stream:{stream}"
    yield Need(f"logs:{operation}", _arn("logs", group))


def _sqs(operation: str, parameters: Any) -> Iterator[Need]:
    queue = parameters["QueueUrl"].rpartition("/")[2]
    yield Need(f"sqs:{_ON_QUEUE[operation]}", _arn("sqs", queue))


_JSON_SERVICES: dict[str, Callable[[str, Any], Iterator[Need]]] = {
    "dynamodb": _dynamodb,
    "rekognition": _rekognition,
    "logs": _logs,
    "sqs": _sqs,
}
