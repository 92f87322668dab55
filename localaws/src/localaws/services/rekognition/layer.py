"""The layer that sends Rekognition's requests to our own implementation, and its access to S3."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import moto.backends
from moto.s3.models import FakeKey

from localaws.account import ACCOUNT_ID
from localaws.rekognition import RekognitionApp
from localaws.request import request_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class RekognitionRequests:
    """Layer that lets an application answer Rekognition's requests."""

    def __init__(self, app: RekognitionApp) -> None:
        self._app = app

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Answer a request to Rekognition; pass on all others."""
        app = self._app if request_of(environ).service == "rekognition" else inner
        return app(environ, start_response)


def read_object(bucket: str, key: str, version_id: str | None) -> bytes:
    """Return an object of S3. Permissions were checked before.

    Raises:
        LookupError: the object does not exist.
    """
    s3 = moto.backends.get_backend("s3")[ACCOUNT_ID]["aws"]
    try:
        found = s3.get_object(bucket, key, version_id=version_id)
    except Exception as error:  # moto's own exceptions for a missing bucket or a delete marker
        raise LookupError(key) from error
    if not isinstance(found, FakeKey):
        raise LookupError(key)
    return bytes(found.value)
