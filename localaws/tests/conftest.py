"""An embedded AWS on a free port, and an empty laboratory in it for each test."""

from collections.abc import Iterator

import pytest

from laboratory import Laboratory
from localaws.server import EmbeddedAWS


@pytest.fixture(scope="session")
def aws() -> Iterator[EmbeddedAWS]:
    """The embedded AWS; failing functions are tried again at once."""
    with EmbeddedAWS(retry_delays=(0.05, 0.05)) as aws:
        yield aws


@pytest.fixture(scope="module")
def one_laboratory(aws: EmbeddedAWS) -> Iterator[Laboratory]:
    """An embedded AWS for small experiments."""
    aws.reset()
    yield Laboratory(aws)
    aws.reset()


@pytest.fixture
def laboratory(one_laboratory: Laboratory) -> Iterator[Laboratory]:
    """The same, with nothing in it."""
    yield one_laboratory
    one_laboratory.clear()
