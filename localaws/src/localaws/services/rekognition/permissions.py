"""The permissions that requests to Rekognition need."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from localaws.account import arn
from localaws.request import AWSRequest
from localaws.services.iam.permissions import Need, UnknownNeeds, json_parameters
from localaws.services.s3.permissions import get_object

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_WITHOUT_RESOURCE: Final = frozenset(
    {"CompareFaces", "DetectFaces", "DetectLabels", "DetectModerationLabels", "ListCollections"}
)
"""Operations for which AWS knows no resource but ``*``."""
_ON_COLLECTION: Final = frozenset(
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


def needs(request: AWSRequest, environ: "WSGIEnvironment") -> Iterator[Need]:
    """Yield the needs of a request.

    Raises:
        UnknownNeeds: the operation is not known here.
    """
    operation, parameters = request.operation, json_parameters(environ)
    if operation in _WITHOUT_RESOURCE:
        yield Need(f"rekognition:{operation}", "*")
    elif operation in _ON_COLLECTION:
        yield Need(f"rekognition:{operation}", _collection(parameters["CollectionId"]))
    elif operation in ("TagResource", "UntagResource", "ListTagsForResource"):
        yield Need(f"rekognition:{operation}", parameters["ResourceArn"])
    else:
        raise UnknownNeeds(f"rekognition:{operation}")
    if parameters.get("Tags") and operation == "CreateCollection":
        yield Need("rekognition:TagResource", _collection(parameters["CollectionId"]))
    for name in ("Image", "SourceImage", "TargetImage"):  # S3 asks for the caller's permissions
        stored = parameters.get(name, {}).get("S3Object")
        if stored:
            has_version = bool(stored.get("Version"))
            yield get_object(stored["Bucket"], stored["Name"], has_version=has_version)


def _collection(collection_id: str) -> str:
    return arn("rekognition", f"collection/{collection_id}")
