"""CloudFormation's successful answers in the query protocol."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4
from xml.etree.ElementTree import Element, SubElement, tostring

from werkzeug.wrappers import Response

from localaws.refusals import NAMESPACES


def answer(action: str, result: Mapping[str, Any]) -> Response:
    """Return the answer to an action.

    Args:
        action: AWS's name.
        result: its members; lists are allowed.
    """
    response = Element(f"{action}Response", xmlns=NAMESPACES["cloudformation"])
    _write(SubElement(response, f"{action}Result"), result)
    metadata = SubElement(response, "ResponseMetadata")
    SubElement(metadata, "RequestId").text = str(uuid4())
    return Response(tostring(response), content_type="text/xml")


def _write(element: Element, content: Any) -> None:
    if isinstance(content, Mapping):
        for name, value in content.items():
            _write(SubElement(element, name), value)
    elif isinstance(content, list):
        for value in content:
            _write(SubElement(element, "member"), value)
    else:
        element.text = str(content)
