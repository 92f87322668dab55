"""S3's event notifications: complete, and sent after the request.

moto sends an event while the request is still running, before it stores the object's metadata. It
sends two events for a multipart upload and none for a delete marker, and it encodes the ``/`` in
keys. Here the changes of a request are collected. After the request, functions get an event for
each change that the bucket's notification configuration names, in the form of the `event message
structure`_.

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

from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Invoke = Callable[[str, dict[str, Any]], None]
"""Invokes a function asynchronously, given its name and the event."""


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


class S3Notifications:
    """Layer that invokes functions for the changes that a request made in S3.

    It is below the layer that writes to disk, which writes changes and events in one transaction.
    """

    def __init__(self, invoke: Invoke) -> None:
        self._invoke = invoke

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Let the request be answered, then notify."""
        changes: list[_Change] = []
        token = _changes.set(changes)
        try:
            body = [b"".join(inner(environ, start_response))]
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


# --- replacements of moto's functions, see localaws.moto_patches ------------------------------

_moto_delete_object = S3Backend.delete_object


def collect_event(
    account_id: str, event_name: str, bucket: FakeBucket, key: FakeKey | None
) -> None:
    """Stand in for ``moto.s3.notifications.send_event``: collect the event, send nothing."""
    changes = _changes.get()
    event = str(getattr(event_name, "value", event_name))
    if changes is None or key is None:
        return
    if event == "s3:ObjectCreated:CompleteMultipartUpload":  # moto has reported it as a Put
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


def delete_object(
    self: S3Backend,
    bucket_name: str,
    key_name: str,
    version_id: str | None = None,
    bypass: bool = False,
) -> tuple[bool, dict[str, Any]]:
    """Stand in for ``S3Backend.delete_object``, which reports no change of a versioned bucket.

    The answer names a delete marker that was removed, as in "Deleting objects from a
    versioning-enabled bucket" in the Amazon S3 User Guide.
    """
    changes = _changes.get()
    count_before = len(changes) if changes is not None else 0
    bucket = self.get_bucket(bucket_name)
    was_marker = any(
        isinstance(version, FakeDeleteMarker) and version.version_id == version_id
        for version in bucket.keys.getlist(key_name, [])
    )
    success, answer = _moto_delete_object(self, bucket_name, key_name, version_id, bypass)
    if was_marker:
        answer["delete-marker"] = "true"
    if changes is not None and success and bucket.is_versioned:
        del changes[count_before:]
        kind = "Delete" if version_id else "DeleteMarkerCreated"
        changes.append(
            _Change(f"s3:ObjectRemoved:{kind}", bucket, key_name, answer.get("version-id"), None)
        )
    return success, answer


def set_delete_marker(self: S3Backend, bucket_name: str, key_name: str) -> FakeDeleteMarker:
    """Stand in for ``S3Backend._set_delete_marker``, whose second marker stands for the first.

    A marker stands for an object here, however often the key was deleted.
    """
    keys = self.get_bucket(bucket_name).keys
    latest = keys[key_name]
    while isinstance(latest, FakeDeleteMarker):
        latest = latest.key
    marker = keys[key_name] = FakeDeleteMarker(key=latest)
    return marker
