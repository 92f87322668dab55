"""A pytest fixture: a real Rekognition for tests, empty at the start of each.

In a ``conftest.py``, or in a test module::

    from localaws.rekognition.testing import rekognition

    def test_she_is_recognised(rekognition):
        rekognition.create_collection(CollectionId="club")
        ...

The fixture is a boto3 client. Code that makes its own is led here by the environment variable
``AWS_ENDPOINT_URL_REKOGNITION``, which is set during the test.
"""

import functools
from typing import TYPE_CHECKING

import boto3
import pytest

from localaws.rekognition.serving import RekognitionServer

if TYPE_CHECKING:
    from mypy_boto3_rekognition import RekognitionClient

_REGION = "us-east-1"


@functools.cache
def _server() -> RekognitionServer:
    """Start a server once; it ends with the process."""
    server = RekognitionServer()
    server.start()
    return server


@pytest.fixture
def rekognition(monkeypatch: pytest.MonkeyPatch) -> "RekognitionClient":
    """A boto3 client of a Rekognition without any collection."""
    server = _server()
    server.app.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL_REKOGNITION", server.url)
    return boto3.client(
        "rekognition",
        endpoint_url=server.url,
        region_name=_REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - opens nothing but this process
    )
