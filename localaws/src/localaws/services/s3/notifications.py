"""S3 event notifications for moto: complete, and sent when the request is over.

moto sends an event while the request is still running, before an object's metadata is stored,
sends two for a multipart upload and none for a delete marker, and encodes the ``/`` of keys.
Here what happens during a request is collected, and notified afterwards by the bucket's own
notification configuration, in the form of the `event message structure`_.

.. _event message structure:
   https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

import itertools
import uuid
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import moto.s3.notifications
from moto.s3.models import FakeBucket, FakeKey, S3Backend

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Invoke = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class _Change:
    """An object that was created or removed during a request."""

    event: str
    bucket: FakeBucket
    key: str
    version_id: str | None
    stored: FakeKey | None


_changes: ContextVar[list[_Change] | None] = ContextVar("s3_changes", default=None)
_sequence = itertools.count(1)


class S3Events:
    """WSGI middleware that invokes functions for what a request changed in S3."""

    def __init__(self, app: "WSGIApplication", invoke: Invoke) -> None:
        """Take moto's application, and what invokes a function asynchronously by its name."""
        self._app = app
        self._invoke = invoke
        _collect_instead_of_sending()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer the request, then notify."""
        changes: list[_Change] = []
        token = _changes.set(changes)
        try:
            body = [b"".join(self._app(environ, start_response))]
        finally:
            _changes.reset(token)
        for change in changes:
            self._notify(change, environ.get("REMOTE_ADDR", "127.0.0.1"))
        return body

    def _notify(self, change: _Change, source_ip: str) -> None:
        configuration = change.bucket.notification_configuration
        for target in configuration.cloud_function if configuration else ():
            if target.matches(change.event, change.key):
                function = target.arn.split(":")[6]
                self._invoke(function, {"Records": [_record(change, target.id, source_ip)]})


def _record(change: _Change, configuration_id: str, source_ip: str) -> dict[str, Any]:
    bucket = change.bucket
    detail: dict[str, Any] = {"key": quote_plus(change.key, safe="/")}
    if change.stored is not None:
        detail["size"] = change.stored.size
        detail["eTag"] = change.stored.etag.strip('"')
    if change.version_id not in (None, "null"):
        detail["versionId"] = change.version_id
    detail["sequencer"] = f"{next(_sequence):018X}"
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region_name,
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "eventName": change.event.removeprefix("s3:"),
        "userIdentity": {"principalId": "AWS:LOCAL"},
        "requestParameters": {"sourceIPAddress": source_ip},
        "responseElements": {
            "x-amz-request-id": uuid.uuid4().hex[:16].upper(),
            "x-amz-id-2": uuid.uuid4().hex,
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration_id,
            "bucket": {
                "name": bucket.name,
                "ownerIdentity": {"principalId": "LOCAL"},
                "arn": bucket.arn,
            },
            "object": detail,
        },
    }


# --- moto's hooks ---------------------------------------------------------------------------

_moto_delete_object = S3Backend.delete_object


def _collect_instead_of_sending() -> None:
    moto.s3.notifications.send_event = _collect
    S3Backend.delete_object = _delete_object  # type: ignore[method-assign]


def _collect(account_id: str, event_name: str, bucket: FakeBucket, key: FakeKey | None) -> None:
    """Stand in for ``moto.s3.notifications.send_event``."""
    changes = _changes.get()
    event = str(getattr(event_name, "value", event_name))
    if changes is None or key is None:
        return
    if event == "s3:ObjectCreated:CompleteMultipartUpload":  # moto calls it a Put before
        changes[:] = [c for c in changes if (c.bucket, c.key) != (bucket, key.name)]
    versioned = bool(bucket.is_versioned)
    created = event.startswith("s3:ObjectCreated")
    changes.append(
        _Change(
            event,
            bucket,
            key.name,
            str(key.version_id) if versioned else None,
            key if created else None,
        )
    )


def _delete_object(
    self: S3Backend,
    bucket_name: str,
    key_name: str,
    version_id: str | None = None,
    bypass: bool = False,
) -> tuple[bool, dict[str, Any]]:
    """Stand in for ``S3Backend.delete_object``, which says nothing in a versioned bucket."""
    changes = _changes.get()
    said_before = len(changes) if changes is not None else 0
    success, answer = _moto_delete_object(self, bucket_name, key_name, version_id, bypass)
    bucket = self.get_bucket(bucket_name)
    if changes is not None and success and bucket.is_versioned:
        del changes[said_before:]
        kind = "Delete" if version_id else "DeleteMarkerCreated"
        changes.append(
            _Change(f"s3:ObjectRemoved:{kind}", bucket, key_name, answer.get("version-id"), None)
        )
    return success, answer
