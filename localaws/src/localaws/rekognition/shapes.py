"""Parse and validate requests against botocore's service model of Rekognition.

The service model describes every operation, the type of every value, and the constraints on it.
"""

import base64
import binascii
import functools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape

from localaws.rekognition.exceptions import InvalidImageFormatException, SerializationException


@functools.cache
def service_model() -> ServiceModel:
    """Return botocore's service model of Rekognition."""
    return ServiceModel(Loader().load_service_model("rekognition", "service-2"), "rekognition")


def parse(shape: Shape, value: Any) -> Any:
    """Convert a JSON value to the Python value that a shape describes.

    As on AWS, null members count as absent, unknown members are ignored, and blobs are base64.

    Raises:
        SerializationException: the value has another type.
        InvalidImageFormatException: a blob is not base64. All blobs of Rekognition are images, and
            AWS answers with this error.
    """
    if isinstance(shape, StructureShape):
        return {
            name: parse(member, value[name])
            for name, member in shape.members.items()
            if _typed(dict, value, shape).get(name) is not None
        }
    if isinstance(shape, ListShape):
        return [parse(shape.member, item) for item in _typed(list, value, shape)]
    if isinstance(shape, MapShape):
        return {
            parse(shape.key, key): parse(shape.value, item)
            for key, item in _typed(dict, value, shape).items()
        }
    return _parse_scalar(shape, value)


def _parse_scalar(shape: Shape, value: Any) -> Any:
    match shape.type_name:
        case "string":
            return _typed(str, value, shape)
        case "blob":
            return _decode_blob(_typed(str, value, shape))
        case "boolean":
            return _typed(bool, value, shape)
        case "integer" | "long":
            return _number(value, shape, whole=True)
        case "float" | "double":
            return _number(value, shape, whole=False)
    raise SerializationException(f"A {shape.type_name} is not accepted here")


def _typed(kind: type, value: Any, shape: Shape) -> Any:
    if not isinstance(value, kind):
        raise SerializationException(f"{_json_type(value)} can not be converted to {shape.name}")
    return value


def _number(value: Any, shape: Shape, *, whole: bool) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or (whole and value != int(value)):
        raise SerializationException(f"{_json_type(value)} can not be converted to {shape.name}")
    return int(value) if whole else float(value)


def _json_type(value: Any) -> str:
    names = {str: "STRING_VALUE", bool: "BOOLEAN_VALUE", dict: "OBJECT_VALUE", list: "ARRAY_VALUE"}
    return names.get(type(value), "NUMBER_VALUE")


def _decode_blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidImageFormatException("Invalid image encoding") from error


def violations(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Yield AWS's message for each constraint that a parsed value breaks.

    Args:
        shape: describes the value.
        value: the value, as ``parse`` returns it.
        path: the position of the value in the request, for the messages.
    """
    constraints = _broken_constraints(shape, value)
    if constraints:
        shown = _shown(value)
        for constraint in constraints:
            yield f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"
    if isinstance(shape, StructureShape):
        yield from _violations_of_members(shape, value, path)
    elif isinstance(shape, ListShape):
        for number, item in enumerate(value, 1):
            yield from violations(shape.member, item, f"{path}.{number}.member")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from violations(shape.key, key, f"{path}.key")
            yield from violations(shape.value, item, f"{path}.{key}.member")


def _violations_of_members(
    shape: StructureShape, value: Mapping[str, Any], path: str
) -> Iterator[str]:
    for name, member in shape.members.items():
        # In AWS's messages, the names of members begin with a lower-case letter.
        inner = f"{path}.{name[0].lower()}{name[1:]}".lstrip(".")
        if name in value:
            yield from violations(member, value[name], inner)
        elif name in shape.required_members:
            yield (f"Value null at '{inner}' failed to satisfy constraint: Member must not be null")


def _broken_constraints(shape: Shape, value: Any) -> list[str]:
    """Return the broken constraints on the value itself, without those on its members."""
    broken = []
    limits = shape.metadata
    number = isinstance(value, int | float) and not isinstance(value, bool)
    size = value if number else len(value) if hasattr(value, "__len__") else None
    quantity = "value" if number else "length"
    if size is not None and "min" in limits and size < limits["min"]:
        broken.append(f"Member must have {quantity} greater than or equal to {limits['min']}")
    if size is not None and "max" in limits and size > limits["max"]:
        broken.append(f"Member must have {quantity} less than or equal to {limits['max']}")
    if "pattern" in limits and not _compiled(limits["pattern"]).fullmatch(value):
        broken.append(f"Member must satisfy regular expression pattern: {limits['pattern']}")
    if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        broken.append(f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    return broken


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of the service model, which is written for Java.

    Only the patterns of tags use Unicode properties. Python's nearest character classes replace
    them; they also match control characters that count as white space.
    """
    for java, python in ((r"\p{L}", r"\w"), (r"\p{N}", r"\w"), (r"\p{Z}", r"\s")):
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _shown(value: Any) -> str:
    """Return a value as AWS quotes it in messages. The bytes of images are not printed."""
    if isinstance(value, bytes):
        size = len(value)
        return f"'java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]'"
    return f"'{value}'"
