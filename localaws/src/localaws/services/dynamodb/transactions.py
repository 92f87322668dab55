"""Atomic writes, which moto lacks.

moto changes items in place, step by step. Requests at the same time may see an item without its new
attributes, half of a transaction, or a condition that held a moment ago. For transactions moto
copies whole tables, and puts the copies back after a failure. With thousands of items that takes
long, and it loses the writes that others made in the meantime.
"""

import copy
import threading
from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from localaws.request import request_of
from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class AtomicDynamoDB:
    """Layer that passes on requests to DynamoDB one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Pass on a request after the end of the request before."""
        if request_of(environ).service != "dynamodb":
            return inner(environ, start_response)
        read_body(environ)  # before the lock, so that a slow client delays nobody
        with self._lock:
            return [b"".join(inner(environ, start_response))]


# --- replacements of moto's methods, see localaws.moto_patches --------------------------------

_is_in_transaction: ContextVar[bool] = ContextVar("dynamodb_is_in_transaction", default=False)
_moto_transact_write_items = DynamoDBBackend.transact_write_items


def transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    """Stand in for moto's method: on a failure, restore the items that it has changed."""
    before = [_ItemBefore(self, *next(iter(item.items()))) for item in transact_items]
    token = _is_in_transaction.set(True)
    try:
        _moto_transact_write_items(self, transact_items)
    except Exception:
        for item in before:
            item.restore()
        raise
    finally:
        _is_in_transaction.reset(token)


def copy_table(self: Table, memo: dict[int, Any]) -> Table:
    """Stand in for ``copy.deepcopy`` of a table: a transaction gets the table itself."""
    if _is_in_transaction.get():
        return self
    duplicate: Table = object.__new__(type(self))
    memo[id(self)] = duplicate
    vars(duplicate).update(copy.deepcopy(vars(self), memo))
    return duplicate


class _ItemBefore:
    """An item as it was before a transaction.

    Args:
        backend: holds the item's table.
        kind: of the transaction's operation, such as ``Put``.
        operation: its parameters.
    """

    def __init__(self, backend: DynamoDBBackend, kind: str, operation: dict[str, Any]) -> None:
        self._table = backend.tables.get(operation["TableName"])
        if self._table is not None:
            values = operation["Item"] if kind == "Put" else operation["Key"]
            self._hash = DynamoType(values[self._table.hash_key_attr])
            range_name = self._table.range_key_attr
            self._range = DynamoType(values[range_name]) if range_name else None
            self._item: Item | None = copy.deepcopy(self._table.get_item(self._hash, self._range))

    def restore(self) -> None:
        """Put the item back into its table."""
        if self._table is None:
            return
        items: Any = self._table.items
        if self._range is not None:
            items, key = items[self._hash], self._range
        else:
            key = self._hash
        if self._item is None:
            items.pop(key, None)
        else:
            items[key] = self._item
