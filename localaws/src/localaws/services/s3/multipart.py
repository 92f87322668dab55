"""Multipart uploads: the list of parts that completes one.

Source: "CompleteMultipartUpload" in the Amazon S3 API Reference, with its special errors.
"""

from collections.abc import Iterator
from xml.etree import ElementTree

from moto.s3.exceptions import InvalidPartOrder, MalformedXML
from moto.s3.responses import S3Response


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
