"""Multipart uploads: what moto does not check.

Source: "UploadPart" and "CompleteMultipartUpload" in the Amazon S3 API Reference, with their
special errors.
"""

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from moto.s3.exceptions import InvalidPartOrder, MalformedXML, NoSuchUpload
from moto.s3.models import FakeKey, S3Backend
from moto.s3.responses import S3Response

_upload_part = S3Backend.upload_part
_complete = S3Backend.complete_multipart_upload


def upload_part(
    self: S3Backend, bucket_name: str, multipart_id: str, *rest: Any, **options: Any
) -> FakeKey:
    """Stand in for ``S3Backend.upload_part``, which fails for an unknown upload."""
    _check_upload(self, bucket_name, multipart_id)
    return _upload_part(self, bucket_name, multipart_id, *rest, **options)


def complete_multipart_upload(
    self: S3Backend, bucket_name: str, multipart_id: str, *rest: Any, **options: Any
) -> FakeKey | None:
    """Stand in for ``S3Backend.complete_multipart_upload``, which fails for an unknown upload."""
    _check_upload(self, bucket_name, multipart_id)
    return _complete(self, bucket_name, multipart_id, *rest, **options)


def _check_upload(backend: S3Backend, bucket_name: str, multipart_id: str) -> None:
    if multipart_id not in backend.get_bucket(bucket_name).multiparts:
        raise NoSuchUpload(upload_id=multipart_id)


def complete_multipart_body(self: S3Response, body: bytes) -> Iterator[tuple[int, str]]:
    """Stand in for ``S3Response._complete_multipart_body``, which accepts parts in any order.

    Args:
        self: moto's response.
        body: of the request; the layer of bodies has found it to be XML.

    Returns:
        The number and the ETag of each part.
    """
    parts: list[tuple[int, str]] = []
    for element in ElementTree.fromstring(body):  # noqa: S314 - it declares no entities
        values = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
        number = values.get("PartNumber", "").strip()
        if not (number.isascii() and number.isdigit() and len(number) < 6) or "ETag" not in values:
            raise MalformedXML
        parts.append((int(number), values["ETag"].strip()))
    numbers = [number for number, _ in parts]
    if numbers != sorted(set(numbers)):
        raise InvalidPartOrder
    return iter(parts)
