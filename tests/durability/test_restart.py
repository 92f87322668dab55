"""The service keeps its data, and a photograph that it accepted is indexed after a kill."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sample_photographs import photograph
from tests.support.processes import run_service, session_of, started, wait_for

BUCKET, TABLE, COLLECTION = "facial-recognition-data-bucket", "face-metadata", "face-collection"


class Running:
    """The running service, and clients of the AWS behind it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._session = session_of(process)
        self._url = wait_for(process, r"^ready \S+ (\S+)$")[1]
        self.s3 = self._client("s3")
        self.dynamodb = self._client("dynamodb")
        self.rekognition = self._client("rekognition")

    def _client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self._url)

    def kill(self) -> None:
        """Kill the process; its children notice it by themselves."""
        self.process.kill()
        self.process.wait()

    def faces(self) -> list[dict[str, Any]]:
        """List the faces in the collection."""
        return list(self.rekognition.list_faces(CollectionId=COLLECTION)["Faces"])


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Running]:
    """Run the service with its data in a folder."""
    command = run_service("--port", "0", "--data", str(folder), *options)
    with started(*command) as process:
        yield Running(process)


def test_a_photograph_that_was_accepted_is_indexed_after_the_kill(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        for name in ("obama", "biden"):
            body = photograph(f"{name}.jpg")
            service.s3.put_object(Bucket=BUCKET, Key=f"faces/{name}/1.jpg", Body=body)
        service.kill()

    with serving(tmp_path) as service:
        deadline = time.monotonic() + 30
        while len(faces := service.faces()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)

    assert sorted(face["ExternalImageId"].split(":")[0] for face in faces) == ["biden", "obama"]


def test_data_is_kept_until_a_fresh_start_and_used_by_one_process(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        service.s3.put_object(Bucket=BUCKET, Key="kept/1", Body=b"1")
        service.dynamodb.put_item(TableName=TABLE, Item={"faceId": {"S": "kept"}})
        service.kill()

    with serving(tmp_path) as service:
        assert service.s3.get_object(Bucket=BUCKET, Key="kept/1")["Body"].read() == b"1"
        assert service.dynamodb.scan(TableName=TABLE)["Items"] == [{"faceId": {"S": "kept"}}]
        second = finished("--data", str(tmp_path))
    assert second.returncode == 1
    assert second.stderr.startswith(
        f"error: the data in {tmp_path} is in use by another process: stop it, or "
    )
    assert second.stderr.endswith("(--data), or make run DATA=...\n")
    assert second.stderr.count("\n") == 1

    with serving(tmp_path, "--fresh") as service:
        assert "Versions" not in service.s3.list_object_versions(Bucket=BUCKET)
        assert service.dynamodb.scan(TableName=TABLE)["Items"] == []


def test_damaged_data_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "rekognition.db").write_bytes(b"no database at all")

    done = finished("--data", str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}/rekognition.db is damaged (")
    assert done.stderr.count("\n") == 1


def finished(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the service, which is expected to end by itself."""
    command = run_service("--port", "0", *options)
    return subprocess.run(command, capture_output=True, text=True, check=False)
