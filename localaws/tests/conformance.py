"""Check that Rekognition's answers conform to AWS's service model."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape

MODEL = ServiceModel(Loader().load_service_model("rekognition", "service-2"), "rekognition")

_JSON_TYPES = {
    "string": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
    "boolean": bool,
    "structure": dict,
    "list": list,
    "map": dict,
}


class ConformanceChecker:
    """WSGI middleware that checks successful answers, and records every mismatch.

    Args:
        app: the Rekognition application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.mismatches: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Pass a request on, and check the answer."""
        statuses: list[str] = []

        def start(status: str, *rest: Any) -> Any:
            statuses.append(status)
            return start_response(status, *rest)

        body = b"".join(self._app(environ, start))
        operation = environ.get("HTTP_X_AMZ_TARGET", "").removeprefix("RekognitionService.")
        if statuses[0].startswith("200"):
            shape = MODEL.operation_model(operation).output_shape
            self.mismatches += mismatches(shape, json.loads(body), operation)
        return [body]


def mismatches(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """Yield a description of each difference between a JSON value and its shape.

    Args:
        shape: the shape in AWS's service model.
        value: the JSON value.
        path: the position of the value in the answer, for the descriptions.
    """
    if not isinstance(value, _JSON_TYPES[shape.type_name]) or (
        isinstance(value, bool) and shape.type_name != "boolean"
    ):
        yield f"{path}: {value!r} is not a {shape.type_name}"
        return
    limits = shape.metadata
    size = value if isinstance(value, int | float) else len(value)
    # The minimum length of lists applies to requests only: AWS returns empty lists as well.
    least = size if isinstance(shape, ListShape) else limits.get("min", size)
    if not least <= size <= limits.get("max", size):
        yield f"{path}: {value!r} is out of range"
    if "pattern" in limits and not _matches(limits["pattern"], value):
        yield f"{path}: {value!r} does not match {limits['pattern']}"
    if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is not one of {shape.enum}"
    if isinstance(shape, ListShape):
        for item in value:
            yield from mismatches(shape.member, item, f"{path}[]")
    if isinstance(shape, MapShape):
        for key, item in value.items():
            yield from mismatches(shape.key, key, f"{path}.key")
            yield from mismatches(shape.value, item, f"{path}.{key}")
    if isinstance(shape, StructureShape):
        yield from (f"{path}.{name} is unknown" for name in value.keys() - shape.members.keys())
        missing = set(shape.required_members) - value.keys()
        yield from (f"{path}.{name} is missing" for name in missing)
        for name in value.keys() & shape.members.keys():
            yield from mismatches(shape.members[name], value[name], f"{path}.{name}")


def _matches(pattern: str, value: str) -> bool:
    """Return whether a value matches a pattern of the service model, which has Java's syntax."""
    for java, python in ((r"\p{L}", r"\w"), (r"\p{N}", r"\w"), (r"\p{Z}", r"\s")):
        pattern = pattern.replace(java, python)
    return re.fullmatch(pattern, value) is not None
