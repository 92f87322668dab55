"""The item format of DynamoDB, as the records and the audit trail use it."""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from boto3.dynamodb.types import TypeSerializer
from msgspec import Struct

R = TypeVar("R", bound=Struct)

TransactWriteItem = dict[str, Any]
"""One write of a transaction: the ``TransactWriteItem`` of DynamoDB's API."""

_serializer = TypeSerializer()


def to_attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as DynamoDB's attribute values."""
    return _attributes(values)


def to_item(record: Struct) -> dict[str, Any]:
    """Return a record as an item."""
    return _attributes(record)


def _attributes(values: Any) -> dict[str, Any]:
    # DynamoDB's numbers are decimal. The shortest decimal of a float reads back as the same float.
    decimal = json.loads(msgspec.json.encode(values), parse_float=Decimal)
    return {name: _serializer.serialize(value) for name, value in decimal.items()}


def from_item(item: Mapping[str, Any], kind: type[R]) -> R:
    """Return the record of an item.

    Raises:
        msgspec.ValidationError: the item is not a record of this kind.
    """
    return msgspec.convert({name: _value(tagged) for name, tagged in item.items()}, kind)


def from_own_item(item: Mapping[str, Any], kind: type[R]) -> R | None:
    """Return the record of an item; None if another program wrote the item."""
    try:
        return from_item(item, kind)
    except msgspec.ValidationError:
        return None


def update_expression(
    changes: Mapping[str, Any], *more: str, remove: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the arguments of an update that sets the given attributes and removes those of None.

    Args:
        changes: the new values by the names of the attributes.
        more: further assignments of the SET clause.
        remove: further paths of the REMOVE clause.
    """
    sets = [f"#{name} = :{name}" for name, value in changes.items() if value is not None]
    removes = [f"#{name}" for name, value in changes.items() if value is None]
    values = {f":{name}": value for name, value in changes.items() if value is not None}
    clauses = {"SET": [*sets, *more], "REMOVE": [*removes, *remove]}
    update = {
        "UpdateExpression": " ".join(
            f"{clause} {', '.join(paths)}" for clause, paths in clauses.items() if paths
        ),
        "ExpressionAttributeNames": {f"#{name}": name for name in changes},
    }
    if values:  # DynamoDB refuses an empty map of them
        update["ExpressionAttributeValues"] = to_attributes(values)
    return update


def _value(tagged: Mapping[str, Any]) -> Any:
    """Return the Python value of an attribute value.

    boto3's own deserializer takes three times as long, because its numbers keep 38 digits.
    """
    ((tag, value),) = tagged.items()
    match tag:
        case "N":
            return int(value) if value.isdecimal() else float(value)
        case "M":
            return {name: _value(inner) for name, inner in value.items()}
        case "L":
            return [_value(inner) for inner in value]
    return value
