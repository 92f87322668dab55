"""Chalice's note of what it has deployed, which it needs to update or delete it.

Chalice keeps it in a file of the project. A copy in the bucket lets any machine go on from there.
"""

import json
from pathlib import Path
from typing import Any

import boto3

from infra.stages import Stage

PROJECT = Path(__file__).parent.parent


class Record:
    """The note about one stage, in the project and in the stage's bucket."""

    def __init__(self, session: boto3.Session, stage: Stage) -> None:
        """Take the stage, whose bucket may not be there yet."""
        self._s3 = session.client("s3")
        self._bucket = stage.environment["FACES_BUCKET"]
        self._key = f".chalice/deployed/{stage.name}.json"
        self._file = PROJECT / self._key

    def fetch(self) -> None:
        """Get what another machine has noted, unless there is a note here."""
        if self._file.exists():
            return
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=self._key)
        except (self._s3.exceptions.NoSuchKey, self._s3.exceptions.NoSuchBucket):
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(found["Body"].read())

    def store(self) -> None:
        """Let other machines know."""
        self._s3.put_object(Bucket=self._bucket, Key=self._key, Body=self._file.read_bytes())

    def remove(self) -> None:
        """Forget it here and there."""
        self._file.unlink(missing_ok=True)
        self._s3.delete_object(Bucket=self._bucket, Key=self._key)

    def rest_api(self) -> dict[str, Any] | None:
        """Return what is noted of the REST API; None when nothing is deployed."""
        resources = json.loads(self._file.read_text())["resources"] if self._file.exists() else []
        return next((r for r in resources if r["resource_type"] == "rest_api"), None)
