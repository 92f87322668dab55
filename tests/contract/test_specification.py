"""The published specification is the code's, and every answer is in it."""

import json
from typing import Any

import app
from infra import openapi

DOCUMENT: dict[str, Any] = json.loads(openapi.DOCUMENT.read_text())


def test_the_committed_files_are_what_the_code_says() -> None:
    for path, text in openapi.files().items():
        assert path.read_text() == text, f"{path.name} is not up to date: make openapi"


def test_every_route_is_specified() -> None:
    routes = {path: sorted(methods) for path, methods in app.app.routes.items()}

    assert routes == {path: ["POST"] for path in DOCUMENT["paths"]}
