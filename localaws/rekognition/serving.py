"""Rekognition on a port of its own, without the other services."""

import threading
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from werkzeug.serving import make_server

from localaws.ports import HOST, QuietRequestHandler, listen
from localaws.rekognition.protocol import RekognitionApp


class RekognitionServer:
    """A local Rekognition over HTTP.

    There is no S3 beside it, so images are sent as bytes: an ``S3Object`` gives
    InvalidS3ObjectException.

    Example::

        with RekognitionServer() as server:
            client = boto3.client("rekognition", endpoint_url=server.url, ...)
    """

    def __init__(self, port: int = 0, path: Path | None = None) -> None:
        """Listen on a port of 127.0.0.1; 0 takes a free one.

        Args:
            port: the port.
            path: the file in which everything is kept; None keeps nothing beyond the process.

        Raises:
            localaws.ports.PortInUse: another program listens there.
            localaws.rekognition.ModelUnavailable: the face models are not installed.
            localaws.database.DataUnusable: the file is damaged, or from another face model.
        """
        listening = listen(port)
        self._port = listening.getsockname()[1]
        with listening:
            self.app = RekognitionApp(_no_object, path=path)
            self.app.warm_up()
            self._server = make_server(
                HOST,
                self._port,
                self.app,
                threaded=True,
                request_handler=QuietRequestHandler,
                fd=listening.fileno(),  # of which the server takes a duplicate
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="rekognition", daemon=True
        )

    @property
    def url(self) -> str:
        """The address to give to SDKs as endpoint."""
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.app.close()

    def __enter__(self) -> "RekognitionServer":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _no_object(bucket: str, key: str, version: str | None) -> NoReturn:
    raise LookupError(key)
