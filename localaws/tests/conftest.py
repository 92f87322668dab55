"""An embedded AWS on a free port, and an empty laboratory in it."""

from collections.abc import Iterator

import pytest

from laboratory import laboratory, one_laboratory  # noqa: F401 - fixtures
from localaws.server import EmbeddedAWS


@pytest.fixture(scope="session")
def aws() -> Iterator[EmbeddedAWS]:
    """The embedded AWS. Failing functions are tried again at once."""
    with EmbeddedAWS(retry_delays=(0.05, 0.05)) as aws:
        yield aws
