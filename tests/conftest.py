"""The whole service, on free ports of this machine, for every test that asks for it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib import clients
from chalicelib.settings import Settings
from facial_recognition.infra.stages import FORGET, Names, let_go, point
from facial_recognition.local.api import LocalApi
from facial_recognition.local.project import Project, install, set_up
from facial_recognition.local.workers import APP
from localaws.server import EmbeddedAWS
from tests.support.service import Service

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def aws() -> Iterator[EmbeddedAWS]:
    """The embedded AWS; failing functions are tried again at once."""
    with EmbeddedAWS(retry_delays=(0.05, 0.05)) as aws:
        yield aws


@pytest.fixture(scope="session")
def project(aws: EmbeddedAWS) -> Project:
    """The application, with its event handlers on the embedded AWS.

    Its functions never take long, so what has not ended after a short while was stopped.
    """
    os.environ["ATTEMPT_SECONDS"] = "5"
    project = install(aws, str(ROOT))
    keeps = Settings.from_environment(os.environ).keep_photographs
    restrict(aws, project, keeps_photographs=keeps)
    # The application's clients are made now; who makes others in this process is a test.
    clients.s3(), clients.dynamodb(), clients.rekognition()
    os.environ["AWS_SDK_UA_APP_ID"] = "test"
    return project


def restrict(aws: EmbeddedAWS, project: Project, *, keeps_photographs: bool = True) -> None:
    """Let routes and handlers do only what their policies on AWS allow."""
    names = Names(Settings(), "*", "*")
    policies = {
        role: let_go(
            # A deploy has written its own names into the files.
            point(json.loads((ROOT / ".chalice" / name).read_text()), names, role),
            names,
            wanted=not keeps_photographs and role != FORGET,
        )
        for role, name in (
            ("api", "policy-prod.json"),
            ("index_photograph", "policy-prod-index_photograph.json"),
            ("unindex_photograph", "policy-prod-unindex_photograph.json"),
            (FORGET, "policy-prod-forget_unverified.json"),
        )
    }

    def role_of(caller: str) -> str | None:
        handler = project.workers.handler_of(caller) or caller
        return "api" if handler == APP else handler

    aws.permissions.restrict(policies, role_of)


@pytest.fixture(scope="session")
def api(project: Project) -> Iterator[LocalApi]:
    """The application's HTTP API."""
    with LocalApi(project) as api:
        yield api


@pytest.fixture(scope="session")
def running(aws: EmbeddedAWS, project: Project, api: LocalApi) -> Service:
    """The service, with whoever is registered."""
    return Service(aws, api.url)


@pytest.fixture
def service(running: Service, project: Project) -> Iterator[Service]:
    """The service with nobody registered; it may do what its policies on AWS allow, and no more."""
    running.aws.reset()
    set_up(project)
    asked = running.aws.permissions.asked
    asked.clear()
    yield running
    running.settle()
    assert [one for one in asked if not one.allowed] == []
