"""Fixtures that run the whole service on free ports of this machine."""

import os
from collections.abc import Iterator

import pytest

from chalicelib import clients
from chalicelib.settings import Settings
from facial_recognition.local.api import LocalApi
from facial_recognition.local.project import Project, install, set_up
from localaws.server import EmbeddedAWS
from tests.support.paths import ROOT
from tests.support.permissions import restrict
from tests.support.service import Service


@pytest.fixture(scope="session")
def aws() -> Iterator[EmbeddedAWS]:
    """The embedded AWS. It retries failed functions after 0.05 seconds."""
    with EmbeddedAWS(retry_delays=(0.05, 0.05)) as aws:
        yield aws


@pytest.fixture(scope="session")
def project(aws: EmbeddedAWS) -> Project:
    """The application, with its event handlers on the embedded AWS."""
    # No function takes longer here. An attempt that is older was stopped.
    os.environ["ATTEMPT_SECONDS"] = "5"
    project = install(aws, str(ROOT))
    keeps = Settings.from_environment(os.environ).keep_photographs
    restrict(aws, project, keeps_photographs=keeps)
    # Make the application's clients now. All clients made later in this process are a test's.
    clients.s3(), clients.dynamodb(), clients.rekognition()
    os.environ["AWS_SDK_UA_APP_ID"] = "test"
    return project


@pytest.fixture(scope="session")
def api(project: Project) -> Iterator[LocalApi]:
    """The HTTP API of the application."""
    with LocalApi(project) as api:
        yield api


@pytest.fixture(scope="session")
def running(aws: EmbeddedAWS, project: Project, api: LocalApi) -> Service:
    """The service, with the people that earlier tests registered."""
    return Service(aws, api)


@pytest.fixture
def service(running: Service, project: Project) -> Iterator[Service]:
    """The service with nobody registered, restricted to the calls that its policies allow."""
    running.aws.reset()
    set_up(project)
    asked = running.aws.permissions.asked
    asked.clear()
    yield running
    running.settle()
    assert [one for one in asked if not one.allowed] == []
