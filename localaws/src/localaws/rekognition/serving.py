"""Rekognition on a port of its own, without the other services."""

from pathlib import Path
from typing import NoReturn

from localaws.ports import Server, listen
from localaws.rekognition.protocol import RekognitionApp


class RekognitionServer(Server):
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
            localaws.ports.PortUnusable: another program listens there, say.
            localaws.rekognition.ModelUnavailable: the face models are not installed.
            localaws.database.DataUnusable: the file is damaged, or from another face model.
        """
        listening = listen(port)
        with listening:
            self.app = RekognitionApp(_no_object, path=path)
            self.app.warm_up()
            super().__init__(listening, self.app, "rekognition")

    def stop(self) -> None:
        """Answer no more."""
        super().stop()
        self.app.close()


def _no_object(bucket: str, key: str, version: str | None) -> NoReturn:
    raise LookupError(key)
