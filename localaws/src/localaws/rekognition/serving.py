"""Serve Rekognition on a port of its own, without the other AWS services."""

from pathlib import Path
from typing import NoReturn

from localaws.ports import Server, listen
from localaws.rekognition.protocol import RekognitionApp


class RekognitionServer(Server):
    """A local Rekognition over HTTP.

    It has no S3, so send images as bytes. An ``S3Object`` fails with InvalidS3ObjectException.

    Example::

        with RekognitionServer() as server:
            client = boto3.client("rekognition", endpoint_url=server.url, ...)
    """

    def __init__(self, port: int = 0, path: Path | None = None) -> None:
        """Listen on a port of 127.0.0.1, and load the face models.

        Args:
            port: the port; 0 picks a free one.
            path: the database file, created if missing. None keeps all data in memory only.

        Raises:
            localaws.ports.PortUnusable: the port cannot be opened, for example because another
                program uses it.
            localaws.rekognition.ModelUnavailable: the face models are missing, or differ from the
                published files.
            localaws.database.DataUnusable: the file is damaged, or was written with another face
                model.
        """
        listening = listen(port)
        with listening:
            self.app = RekognitionApp(_no_s3_object, path=path)
            self.app.warm_up()
            super().__init__(listening, self.app, "rekognition")

    def stop(self) -> None:
        """Stop the server and close the database."""
        super().stop()
        self.app.close()


def _no_s3_object(bucket: str, key: str, version: str | None) -> NoReturn:
    raise LookupError(key)
