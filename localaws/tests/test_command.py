"""The command ``localaws``, with and without the packages of its extra."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from processes import LOCALAWS, finished, session_of, started, wait_for
from sample_photographs import photograph

WITHOUT_EXTRA = (
    sys.executable,
    "-c",
    """
import runpy, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("moto", "msgspec", "joserfc", "yaml", "awslambdaric"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
runpy.run_module("localaws", run_name="__main__", alter_sys=True)
""",
)
"""The command in an environment without the packages of the extra ``aws``."""


def client(process: subprocess.Popen[str]) -> Any:
    session = session_of(process)
    url = wait_for(process, r"^ready Rekognition (\S+)$")[1]
    return session.client("rekognition", endpoint_url=url)


def test_rekognition_alone_needs_nothing_of_the_extra() -> None:
    with started(*WITHOUT_EXTRA, "--only", "rekognition", "--port", "0") as process:
        image = {"Bytes": photograph("obama.jpg")}
        (face,) = client(process).detect_faces(Image=image)["FaceDetails"]
        process.send_signal(signal.SIGTERM)
        process.communicate()

    assert face["Confidence"] > 99
    assert process.returncode == 0


def test_without_the_extra_the_whole_of_aws_says_what_to_install() -> None:
    done = finished(*WITHOUT_EXTRA, "--port", "0")

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith(" is not installed: pip install 'localaws[aws]'\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("only", [(), ("--only", "rekognition")])
def test_damaged_data_is_an_error_of_one_line(tmp_path: Path, only: tuple[str, ...]) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "rekognition.db").write_bytes(b"no database at all")

    done = finished(*LOCALAWS, "--port", "0", "--data", str(tmp_path), *only)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}/rekognition.db is damaged (")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("only", [(), ("--only", "rekognition")])
def test_a_port_in_use_is_an_error_of_one_line(only: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = finished(*LOCALAWS, "--port", port, *only)

    assert done.returncode == 1
    assert done.stderr == (
        f"error: Port {port} is in use by another program; choose another. (--port)\n"
    )


def test_a_folder_in_use_is_an_error_of_one_line(tmp_path: Path) -> None:
    command = (*LOCALAWS, "--only", "rekognition", "--port", "0", "--data", str(tmp_path))
    with started(*command) as process:
        wait_for(process, "^ready")
        done = finished(*command)

    assert done.returncode == 1
    assert done.stderr == (
        f"error: the data in {tmp_path} is in use by another process: stop it, or choose another"
        " folder (--data)\n"
    )


def test_rekognition_alone_keeps_its_data(tmp_path: Path) -> None:
    command = (*LOCALAWS, "--only", "rekognition", "--port", "0", "--data", str(tmp_path))
    with started(*command) as process:
        rekognition = client(process)
        rekognition.create_collection(CollectionId="club")
        image = {"Bytes": photograph("obama.jpg")}
        rekognition.index_faces(CollectionId="club", Image=image)
        process.kill()
        process.wait()

    with started(*command) as process:
        rekognition = client(process)
        image = {"Bytes": photograph("obama2.jpg")}
        found = rekognition.search_faces_by_image(CollectionId="club", Image=image)
        with pytest.raises(rekognition.exceptions.InvalidS3ObjectException):
            rekognition.detect_faces(Image={"S3Object": {"Bucket": "any", "Name": "any"}})

    assert len(found["FaceMatches"]) == 1


def test_an_origin_that_is_none_is_told() -> None:
    for text in ("*", "null", "localhost:3000", "http://localhost:3000/"):
        done = finished(*LOCALAWS, "--only", "rekognition", "--allow-origin", text)

        assert done.returncode == 2
        assert f"{text} is no origin, such as http://localhost:3000" in done.stderr


@pytest.mark.parametrize("only", [(), ("--only", "rekognition")])
def test_an_open_server_warns_and_takes_any_key(only: tuple[str, ...]) -> None:
    with started(*LOCALAWS, "--port", "0", "--open", *only) as process:
        wait_for(process, "^warning: --open lets every program")
        url = wait_for(process, r"^ready \S+ (\S+)$")[1]
        anybody = boto3.Session("any", "key", region_name="us-east-1")
        client: Any = anybody.client("rekognition", endpoint_url=url)
        assert client.list_collections()["CollectionIds"] == []
