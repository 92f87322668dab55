"""The deployed service, which is used once for all tests of its permissions."""

from collections.abc import Iterator

import pytest

from laboratory import laboratory, one_laboratory  # noqa: F401 - fixtures
from tests.deploy.deployment import Deployment, deployed
from tests.deploy.rehearsal import rehearse


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The service, as ``chalice deploy`` has deployed it."""
    with deployed(tmp_path_factory.mktemp("project")) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def rehearsed(deployment: Deployment) -> Deployment:
    """The deployed service, after every route and handler was used."""
    rehearse(deployment)
    return deployment
