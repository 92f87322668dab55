"""The deployed service, used once for all tests of what it needed."""

from collections.abc import Iterator

import pytest

from tests.deploy.deployment import Deployment, deployed
from tests.deploy.rehearsal import rehearse


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The service, as ``chalice deploy`` has made it."""
    with deployed(tmp_path_factory.mktemp("project")) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def rehearsed(deployment: Deployment) -> Deployment:
    """The same, after everything was used that there is."""
    rehearse(deployment)
    return deployment
