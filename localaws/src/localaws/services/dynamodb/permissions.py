"""The permissions that requests to DynamoDB need."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from localaws.account import arn
from localaws.request import AWSRequest
from localaws.services.iam.permissions import Need, UnknownNeeds, json_parameters

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_IN_TRANSACTION: Final = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
_ON_TABLE: Final = frozenset(
    {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "DescribeTable"}
)


def needs(request: AWSRequest, environ: "WSGIEnvironment") -> Iterator[Need]:
    """Yield the needs of a request.

    Raises:
        UnknownNeeds: the operation is not known here.
    """
    operation, parameters = request.operation, json_parameters(environ)
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
        raise UnknownNeeds(f"dynamodb:{operation}")


def _table(parameters: Any) -> str:
    name = parameters["TableName"]
    table = name if name.startswith("arn:") else arn("dynamodb", f"table/{name}")
    index = parameters.get("IndexName")
    return f"{table}/index/{index}" if index else table
