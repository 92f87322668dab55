"""The pytest fixture ``rekognition``: a real Rekognition, empty at the start of each test.

pytest finds the fixture by itself when localaws is installed::

    def test_a_face_is_found(rekognition):
        photograph = {"Bytes": open("ada.jpg", "rb").read()}
        assert rekognition.detect_faces(Image=photograph)["FaceDetails"]

The fixture is a boto3 client. During the test the environment variable
``AWS_ENDPOINT_URL_REKOGNITION`` leads all other clients of the process to the same server, with any
credentials.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

# pytest loads this module in every run, so all other imports wait until a test asks for a fixture.
if TYPE_CHECKING:
    from mypy_boto3_rekognition import RekognitionClient

    from localaws.rekognition.serving import RekognitionServer


@pytest.fixture(scope="session")
def localaws_rekognition_server() -> "Iterator[RekognitionServer]":
    """The server behind the fixture ``rekognition``, one for the whole session."""
    from localaws.rekognition.serving import RekognitionServer  # noqa: PLC0415

    with RekognitionServer() as server:
        yield server


@pytest.fixture
def rekognition(
    localaws_rekognition_server: "RekognitionServer", monkeypatch: pytest.MonkeyPatch
) -> "RekognitionClient":
    """A boto3 client of a Rekognition without any collection."""
    import boto3  # noqa: PLC0415

    from localaws.account import REGION  # noqa: PLC0415

    localaws_rekognition_server.app.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL_REKOGNITION", localaws_rekognition_server.url)
    return boto3.client(
        "rekognition",
        endpoint_url=localaws_rekognition_server.url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - this server looks at no signature
    )
