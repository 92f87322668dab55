"""An embedded AWS on a free port, and for each test an empty laboratory in it."""

from collections.abc import Iterator

import pytest

from laboratory import Laboratory
from localaws.server import EmbeddedAWS


@pytest.fixture(scope="session")
def aws() -> Iterator[EmbeddedAWS]:
    """The embedded AWS. Failing functions are tried again at once."""
    with EmbeddedAWS(retry_delays=(0.05, 0.05)) as aws:
        yield aws


@pytest.fixture(scope="module")
def one_laboratory(aws: EmbeddedAWS) -> Iterator[Laboratory]:
    """An embedded AWS that the tests of a module share."""
    aws.reset()
    yield Laboratory(aws)
    aws.reset()


@pytest.fixture
def laboratory(one_laboratory: Laboratory) -> Iterator[Laboratory]:
    """An embedded AWS for small experiments, with nothing in it."""
    yield one_laboratory
    one_laboratory.clear()
