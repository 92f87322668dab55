"""DynamoDB on disk: tables and items as rows of a database."""

import json
import pickle
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from localaws.account import ACCOUNT_ID
from localaws.database import Database, Statement
from localaws.pickling import pickled, sealed, unpickled

SCHEMA: Final = """
CREATE TABLE tables (
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (region, name)
);
CREATE TABLE items (
    region TEXT NOT NULL,
    table_name TEXT NOT NULL,
    key TEXT NOT NULL,
    attributes BLOB NOT NULL,
    PRIMARY KEY (region, table_name, key)
);
"""
TABLES: Final = ("tables", "items")

_READS: Final = ("BatchGet", "Describe", "Get", "List", "Query", "Scan", "TransactGet")

Key = dict[str, Any]


def is_write(operation: str) -> bool:
    """Return whether an operation can change anything."""
    return not operation.startswith(_READS)


class DynamoDBStore:
    """Writes the changes of requests to DynamoDB, and reads everything back.

    Args:
        database: has the tables of ``SCHEMA``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def statements(self, operation: str, body: bytes, region: str) -> list[Statement]:
        """Return the statements that write the changes of an answered request.

        Args:
            operation: AWS's name.
            body: of the request.
            region: of the request.
        """
        keys = _KEYS.get(operation)
        if keys is None:
            return list(self._everything(region))
        statements = []
        for name, key in keys(json.loads(body)):
            table = _backend(region).tables.get(name.rpartition("/")[2])  # if it is an ARN
            if table is not None:
                statements.append(_item_statement(region, table, key))
        return statements

    def _everything(self, region: str) -> Iterable[Statement]:
        """Yield statements that rewrite a region, for rare requests such as UpdateTable."""
        yield "DELETE FROM items WHERE region = ?", (region,)
        yield "DELETE FROM tables WHERE region = ?", (region,)
        for table in _backend(region).tables.values():
            yield "INSERT INTO tables VALUES (?, ?, ?)", (region, table.name, pickled(table))
            for item in table.all_items():
                yield _item_statement(region, table, item.attrs)

    def load(self) -> None:
        """Put everything on disk into moto, and nothing else.

        Readers see the state before or the state after, and none between them.

        Raises:
            DataUnusable: the file is damaged.
        """
        path = self._database.path
        tables: dict[str, dict[str, Table]] = {
            region: {} for region in dynamodb_backends[ACCOUNT_ID]
        }
        for region, name, state in self._database.scan("SELECT * FROM tables ORDER BY rowid"):
            tables.setdefault(region, {})[name] = unpickled(state, path)
        for region, name, content in self._database.scan(
            "SELECT region, table_name, attributes FROM items ORDER BY rowid"
        ):
            table = tables[region][name]
            attributes = unpickled(content, path)
            item = Item(attributes[table.hash_key_attr], None, {})
            dict.update(item.attrs, attributes)  # skips Item's check of its size
            if table.range_key_attr is None:
                table.items[item.hash_key] = item  # type: ignore[assignment]
            else:
                item.range_key = attributes[table.range_key_attr]
                table.items[item.hash_key][item.range_key] = item
        for region, loaded in tables.items():
            _backend(region).tables = loaded


def _backend(region: str) -> DynamoDBBackend:
    return dynamodb_backends[ACCOUNT_ID][region]


def _item_statement(region: str, table: Table, key: Key) -> Statement:
    """Return the statement that makes the row of an item equal to the item."""
    values = [DynamoType(key[name]) for name in table.table_key_attrs]
    name = json.dumps([_name(value) for value in values])
    item = table.get_item(values[0], values[1] if len(values) > 1 else None)
    if item is None:
        statement = "DELETE FROM items WHERE region = ? AND table_name = ? AND key = ?"
        return statement, (region, table.name, name)
    content = sealed(pickle.dumps(dict(item.attrs), pickle.HIGHEST_PROTOCOL))
    # INSERT OR REPLACE would give the row another place in the order.
    return (
        "INSERT INTO items VALUES (?, ?, ?, ?) ON CONFLICT (region, table_name, key)"
        " DO UPDATE SET attributes = excluded.attributes",
        (region, table.name, name, content),
    )


def _name(value: DynamoType) -> str:
    """Return a text that equal values share: "1.0" and "1" are the same number."""
    known = value.cast_value
    return f"{value.type}:{known.normalize() if isinstance(known, Decimal) else known}"


# --- the items that a request names -----------------------------------------------------------


def _in_put(request: dict[str, Any]) -> Iterable[tuple[str, Key]]:
    yield request["TableName"], request["Item"]


def _in_key(request: dict[str, Any]) -> Iterable[tuple[str, Key]]:
    yield request["TableName"], request["Key"]


def _in_batch(request: dict[str, Any]) -> Iterable[tuple[str, Key]]:
    for name, writes in request["RequestItems"].items():
        for write in writes:
            put, delete = write.get("PutRequest"), write.get("DeleteRequest")
            yield name, put["Item"] if put else delete["Key"]


def _in_transaction(request: dict[str, Any]) -> Iterable[tuple[str, Key]]:
    for action in request["TransactItems"]:
        for kind, write in action.items():
            if kind != "ConditionCheck":
                yield write["TableName"], write["Item"] if kind == "Put" else write["Key"]


_KEYS: Final[dict[str, Callable[[dict[str, Any]], Iterable[tuple[str, Key]]]]] = {
    "PutItem": _in_put,
    "UpdateItem": _in_key,
    "DeleteItem": _in_key,
    "BatchWriteItem": _in_batch,
    "TransactWriteItems": _in_transaction,
}
