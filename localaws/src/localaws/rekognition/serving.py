"""Serve Rekognition on a port of its own, without the other AWS services."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from localaws.credentials import AccessKey
from localaws.ports import Server, listen
from localaws.refusals import RequestRefused, error_response
from localaws.rekognition.protocol import RekognitionApp
from localaws.request import request_of
from localaws.services.iam.signatures import demand
from localaws.wsgi import chain

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class RekognitionServer(Server):
    """A local Rekognition over HTTP.

    It has no S3, so send images as bytes. An ``S3Object`` fails with InvalidS3ObjectException.

    Example::

        with RekognitionServer() as server:
            client = boto3.client("rekognition", endpoint_url=server.url, ...)
    """

    def __init__(
        self, port: int = 0, path: Path | None = None, key: AccessKey | None = None
    ) -> None:
        """Listen on a port of 127.0.0.1, and load the face models.

        Args:
            port: the port; 0 picks a free one.
            path: the database file, created if missing. None keeps all data in memory only.
            key: signs the requests. None takes any requests, signed or not.

        Raises:
            localaws.ports.PortUnusable: the port cannot be opened, for example because another
                program uses it.
            localaws.rekognition.ModelUnavailable: the face models are missing, or differ from the
                published files.
            localaws.errors.DataUnusable: the file is damaged, or was written with another face
                model.
        """
        listening = listen(port)
        with listening:
            self.app = RekognitionApp(_no_s3_object, path=path)
            self.app.warm_up()
            app = chain([_Signed(key)] if key else [], self.app)
            super().__init__(listening, app, "rekognition")

    def stop(self) -> None:
        """Stop the server and close the database."""
        super().stop()
        self.app.close()


class _Signed:
    """Layer that refuses requests which the key has not signed."""

    def __init__(self, key: AccessKey) -> None:
        self._key = key

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        try:
            demand(environ, self._key, "rekognition")
        except RequestRefused as refused:
            return error_response(request_of(environ), refused)(environ, start_response)
        return inner(environ, start_response)


def _no_s3_object(bucket: str, key: str, version: str | None) -> NoReturn:
    raise LookupError(key)
