"""The permissions that requests to S3 need.

Source, beside the Service Authorization Reference: "Required permissions for Amazon S3 API
operations" in the Amazon S3 User Guide.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from localaws.request import AWSRequest
from localaws.services.iam.permissions import Need, UnknownNeeds
from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_ON_OBJECT: Final = {
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
_ON_BUCKET: Final = {
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
}
_WITH_VERSION: Final = ("GetObject", "DeleteObject")
"""Actions that have another name when the request names a version."""


def needs(request: AWSRequest, environ: "WSGIEnvironment") -> Iterator[Need]:
    """Yield the needs of a request.

    Raises:
        UnknownNeeds: the operation is not known here.
    """
    operation, bucket, key = request.operation, request.bucket, request.key
    if operation in _ON_BUCKET:
        yield Need(f"s3:{_ON_BUCKET[operation]}", _bucket(bucket))
    elif operation in _ON_OBJECT:
        action = _ON_OBJECT[operation]
        has_version = action in _WITH_VERSION and "versionId" in request.query
        yield Need(f"s3:{action}{'Version' if has_version else ''}", _object(bucket, key))
    elif operation in ("CopyObject", "UploadPartCopy"):
        source, _, query = environ["HTTP_X_AMZ_COPY_SOURCE"].partition("?")
        from_bucket, _, from_key = unquote(source).removeprefix("/").partition("/")
        yield get_object(from_bucket, from_key, has_version="versionId" in parse_qs(query))
        yield Need("s3:PutObject", _object(bucket, key))
    elif operation == "DeleteObjects":
        # AWS refuses single objects of the list; here one refusal is for all of them.
        document = ElementTree.fromstring(read_body(environ))  # noqa: S314 - from this machine
        for item in document.iterfind("{*}Object"):
            suffix = "Version" if item.findtext("{*}VersionId") else ""
            yield Need(f"s3:DeleteObject{suffix}", _object(bucket, item.findtext("{*}Key", "")))
    elif operation == "ListBuckets":
        yield Need("s3:ListAllMyBuckets", "*")
    else:
        raise UnknownNeeds(f"s3:{operation or request.method} on {request.path}")


def list_bucket(bucket: str) -> Need:
    """Return the need of a caller who is told that a key is missing."""
    return Need("s3:ListBucket", _bucket(bucket))


def post_object(bucket: str, key: str) -> Need:
    """Return the need of the signer of a browser's upload, when the form is used."""
    return Need("s3:PutObject", _object(bucket, key))


def get_object(bucket: str, key: str, *, has_version: bool) -> Need:
    """Return the need of a read; ``has_version`` if it names a version of the object."""
    return Need(f"s3:GetObject{'Version' if has_version else ''}", _object(bucket, key))


def _bucket(bucket: str) -> str:
    return f"arn:aws:s3:::{bucket}"


def _object(bucket: str, key: str) -> str:
    return f"arn:aws:s3:::{bucket}/{key}"
