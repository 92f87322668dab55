"""DynamoDB's promise that a write is seen whole or not at all, which moto does not keep.

moto changes items in place and step by step: requests that come meanwhile see an item without its
new attributes, half of a transaction, or a condition that held a moment ago. To be able to undo a
transaction it copies the whole table: with thousands of items that takes long, and what others have
written meanwhile is lost when the copy is put back.
"""

import copy
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


_moto_transact_write_items = DynamoDBBackend.transact_write_items


class AtomicDynamoDB:
    """WSGI middleware that lets requests to DynamoDB through one at a time."""

    def __init__(self, app: "WSGIApplication") -> None:
        """Take moto's application."""
        self._app = app
        self._lock = threading.Lock()
        DynamoDBBackend.transact_write_items = _transact_write_items  # type: ignore[method-assign]

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Pass a request on when the one before is over."""
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_"):
            return self._app(environ, start_response)
        read_body(environ)  # now, so that a slow client holds up nobody
        with self._lock:
            return [b"".join(self._app(environ, start_response))]


def _transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    """Stand in for moto's method: put back what it has changed if it fails."""
    before = [_Touched(self, *next(iter(item.items()))) for item in transact_items]
    Table.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]
    try:
        _moto_transact_write_items(self, transact_items)
    except Exception:
        for touched in before:
            touched.put_back()
        raise
    finally:
        del Table.__deepcopy__  # type: ignore[attr-defined]


class _Touched:
    """An item of a transaction, as it was before."""

    def __init__(self, backend: DynamoDBBackend, kind: str, operation: dict[str, Any]) -> None:
        self._table = backend.tables.get(operation["TableName"])
        if self._table is not None:
            values = operation["Item"] if kind == "Put" else operation["Key"]
            self._hash = DynamoType(values[self._table.hash_key_attr])
            range_name = self._table.range_key_attr
            self._range = DynamoType(values[range_name]) if range_name else None
            self._item: Item | None = copy.deepcopy(self._table.get_item(self._hash, self._range))

    def put_back(self) -> None:
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
