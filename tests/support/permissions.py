"""The policies of the application's functions, on the embedded AWS."""

import json

from chalicelib.settings import Settings
from facial_recognition.infra.policies import (
    ResourceNames,
    allow_deleting_photographs,
    with_names_of,
)
from facial_recognition.infra.stages import FORGET
from facial_recognition.local.project import Project
from facial_recognition.local.workers import APP
from localaws.server import EmbeddedAWS
from tests.support.paths import ROOT


def restrict(aws: EmbeddedAWS, project: Project, *, keeps_photographs: bool = True) -> None:
    """Allow routes and handlers only the calls that their policies on AWS allow."""
    names = ResourceNames(Settings(), "*", "*")
    policies = {
        role: allow_deleting_photographs(
            # A deploy has written its own names into the files.
            with_names_of(json.loads((ROOT / ".chalice" / name).read_text()), names, role),
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
