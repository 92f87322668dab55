"""Every change that the embedded AWS makes to moto's classes and modules, in one list.

The changes hold for the whole process. They are made when the first embedded AWS of the process is
constructed, and undone when the last one has stopped. The pinned version of moto is part of this:
a replacement stands in for one method of one version.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import moto.moto_server.werkzeug_app
import moto.s3.notifications
from moto.apigateway.models import APIGatewayBackend
from moto.core.common_models import BaseModel
from moto.core.responses import BaseResponse
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table
from moto.s3.models import FakeKey, S3Backend
from moto.s3.responses import S3Response
from moto.s3.utils import _VersionedKeyStore

from localaws.services.apigateway import usage_plans
from localaws.services.dynamodb import transactions
from localaws.services.s3 import multipart, notifications, persistence

_ABSENT: Final = object()


class Patch:
    """An attribute of a class or a module, and the object that takes its place.

    Args:
        owner: the class or the module.
        name: of the attribute.
        replacement: its new value.
    """

    def __init__(self, owner: Any, name: str, replacement: Any) -> None:
        self._owner = owner
        self._name = name
        self._replacement = replacement
        self._original: Any = _ABSENT

    def apply(self) -> None:
        """Put the replacement in place."""
        self._original = vars(self._owner).get(self._name, _ABSENT)
        setattr(self._owner, self._name, self._replacement)

    def undo(self) -> None:
        """Put the original back."""
        if self._original is _ABSENT:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._original)


def _new_unlisted(cls: type[BaseModel], *_: Any, **__: Any) -> BaseModel:
    """Stand in for ``BaseModel.__new__``, which adds every new object to a list."""
    return object.__new__(cls)


_get_action = BaseResponse._get_action


def _get_named_action(response: BaseResponse) -> str:
    """Return the operation that a header names, where moto first looks for ``Action=`` in the body.

    A text in a JSON body could name another operation than the one that was checked.
    """
    target = response.headers.get("X-Amz-Target")
    return str(target).rpartition(".")[2] if target else str(_get_action(response) or "")


PATCHES: Final = (
    Patch(BaseResponse, "_get_action", _get_named_action),
    # moto lets the pages of every site read its answers. S3's own CORS rules stay.
    Patch(moto.moto_server.werkzeug_app, "DISABLE_GLOBAL_CORS", True),
    # moto lists every object that it has made, for its dashboard and for resets, and so keeps all
    # of them in memory. A server that runs for long must release the objects that nothing else
    # refers to. The list's second use, closing the files of S3's objects, moves to the objects.
    Patch(BaseModel, "__new__", _new_unlisted),
    Patch(FakeKey, "__del__", FakeKey.dispose),
    # moto sends S3's events while the request is still running, and not all of them.
    Patch(moto.s3.notifications, "send_event", notifications.collect_event),
    Patch(S3Backend, "delete_object", notifications.delete_object),
    # moto's marker of a key that is deleted twice stands for a marker, which has no ARN.
    Patch(S3Backend, "_set_delete_marker", notifications.set_delete_marker),
    Patch(S3Backend, "upload_part", multipart.upload_part),
    Patch(S3Backend, "complete_multipart_upload", multipart.complete_multipart_upload),
    Patch(S3Response, "_complete_multipart_body", multipart.complete_multipart_body),
    # A request's changes are written to disk by the objects that it has looked up.
    Patch(_VersionedKeyStore, "__sgetitem__", persistence.get_item),
    Patch(APIGatewayBackend, "create_usage_plan_key", usage_plans.create_usage_plan_key),
    # moto undoes a failed transaction by putting back a copy of the whole table.
    Patch(DynamoDBBackend, "transact_write_items", transactions.transact_write_items),
    Patch(Table, "__deepcopy__", transactions.copy_table),
)

_lock = threading.Lock()
_users = 0


@contextmanager
def applied() -> Iterator[None]:
    """Keep moto patched. Contexts may overlap: the last one to end undoes the patches."""
    global _users  # noqa: PLW0603 - the patches are as global as this
    with _lock:
        if not _users:
            for patch in PATCHES:
                patch.apply()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                for patch in reversed(PATCHES):
                    patch.undo()
