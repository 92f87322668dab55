"""Fixtures of the integration tests."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

import app
from chalicelib.convergence import Converger
from facial_recognition.local.project import Project
from tests.support.permissions import restrict
from tests.support.service import Service


@pytest.fixture
def discarding(service: Service, project: Project) -> Iterator[Converger]:
    """A converger of a stage that keeps no photographs; the event handlers still keep them."""
    settings = replace(app.settings, keep_photographs=False)
    restrict(service.aws, project, keeps_photographs=False)
    yield Converger(app.photographs, app.records, app.faces, app.converger().audit, settings)
    restrict(service.aws, project)
