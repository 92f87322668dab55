"""A Rekognition on a free port, a boto3 client for it, and a dictionary for the objects in S3."""

import threading
from collections.abc import Iterator
from typing import Any, TypeAlias

import boto3
import pytest
from botocore.config import Config
from werkzeug.serving import WSGIRequestHandler, make_server

from conformance import ConformanceChecker
from localaws.rekognition import RekognitionApp

COLLECTION = "people"

Objects: TypeAlias = dict[tuple[str, str, str | None], bytes]
"""The objects in S3: bucket, key and version to content."""


class _QuietHandler(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture(scope="session")
def stored() -> Objects:
    """The objects that the application finds in S3."""
    return {}


@pytest.fixture(scope="session")
def app(stored: Objects) -> RekognitionApp:
    """The application under test."""
    return RekognitionApp(lambda bucket, key, version: stored[bucket, key, version])


@pytest.fixture(scope="session")
def checker(app: RekognitionApp) -> ConformanceChecker:
    """The application, with every answer checked against AWS's service model."""
    return ConformanceChecker(app)


@pytest.fixture(scope="session")
def endpoint(checker: ConformanceChecker) -> Iterator[str]:
    """The address at which the application is served."""
    server = make_server("127.0.0.1", 0, checker, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def rekognition(endpoint: str) -> Any:
    """A boto3 client without retries."""
    return boto3.client(
        "rekognition",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(autouse=True)
def _fresh(
    app: RekognitionApp,
    checker: ConformanceChecker,
    stored: Objects,
) -> Iterator[None]:
    """Begin each test without data, and check at its end that all answers had AWS's form."""
    app.reset()
    stored.clear()
    checker.mismatches.clear()
    yield
    assert checker.mismatches == []


@pytest.fixture
def collection(rekognition: Any) -> str:
    """An empty collection."""
    rekognition.create_collection(CollectionId=COLLECTION)
    return COLLECTION
