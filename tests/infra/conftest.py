"""The project, deployed to the embedded AWS by ``faces deploy``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from facial_recognition.local.project import Project
from localaws.server import EmbeddedAWS
from tests.infra.project import ProjectCopy


@pytest.fixture(scope="session")
def built(
    aws: EmbeddedAWS, project: Project, tmp_path_factory: pytest.TempPathFactory
) -> ProjectCopy:
    """A copy of the project with its package, which pip builds slowly."""
    copy = ProjectCopy(tmp_path_factory.mktemp("built"))
    aws.reset()
    copy.deploy()
    return copy


@pytest.fixture
def copy(aws: EmbeddedAWS, built: ProjectCopy, tmp_path: Path) -> Iterator[ProjectCopy]:
    """A fresh copy of the project, and an empty account."""
    aws.reset()
    copy = ProjectCopy(tmp_path)
    copy.take_packages(built)
    yield copy
    aws.reset()
    aws.account_settings.concurrent_executions = 1000
