"""What several of these tests begin with."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

import app
from chalicelib.convergence import Converger
from facial_recognition.local.project import Project
from tests.conftest import restrict
from tests.support.service import Service


@pytest.fixture
def letting_go(service: Service, project: Project) -> Iterator[Converger]:
    """What converges photographs where they are not kept; the handlers beside it keep them."""
    settings = replace(app.settings, keep_photographs=False)
    restrict(service.aws, project, keeps_photographs=False)
    yield Converger(app.photographs, app.records, app.faces, app.converger().audit, settings)
    restrict(service.aws, project)
