"""The fixture for other projects' tests, used here as they use it."""

import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from sample_photographs import CACHE, photograph

TEN_LINES = """
def test_a_face_is_found_again(rekognition):
    obama, obama2 = (open(path, "rb").read() for path in {photographs})
    rekognition.create_collection(CollectionId="club")
    rekognition.index_faces(CollectionId="club", Image={{"Bytes": obama}}, ExternalImageId="obama")

    found = rekognition.search_faces_by_image(CollectionId="club", Image={{"Bytes": obama2}})

    (match,) = found["FaceMatches"]
    assert match["Face"]["ExternalImageId"] == "obama"
"""


@pytest.mark.parametrize("number", [1, 2])
def test_each_test_begins_with_nothing(rekognition, number):
    assert rekognition.list_collections()["CollectionIds"] == []
    rekognition.create_collection(CollectionId="club")

    (face,) = rekognition.detect_faces(Image={"Bytes": photograph("obama.jpg")})["FaceDetails"]
    assert face["Confidence"] > 99


def test_clients_that_code_makes_itself_come_here_too(rekognition, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    own = boto3.client("rekognition", region_name="us-east-1")

    own.create_collection(CollectionId="club")

    assert rekognition.list_collections()["CollectionIds"] == ["club"]
    assert own.meta.endpoint_url == os.environ["AWS_ENDPOINT_URL_REKOGNITION"]


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest on a folder in a process of its own; it must end by itself."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_another_project_needs_no_more_than_the_fixtures_name(tmp_path):
    photographs = []
    for name in ("obama.jpg", "obama2.jpg"):
        photograph(name)
        photographs.append(str(CACHE / name))
    (tmp_path / "test_club.py").write_text(TEN_LINES.format(photographs=photographs))

    done = run_pytest(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_run_without_the_fixture_loads_nothing_heavy(tmp_path):
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n"
        "def test_nothing():\n"
        "    assert 'localaws.pytest_plugin' in sys.modules\n"
        "    heavy = {'boto3', 'botocore', 'cv2', 'moto', 'numpy', 'openvino', 'werkzeug'}\n"
        "    assert not heavy & set(sys.modules)\n"
    )

    done = run_pytest(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
