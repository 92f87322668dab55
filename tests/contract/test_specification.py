"""The published specification matches the code, and every response matches the specification."""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import app
from chalicelib import errors
from facial_recognition.specification import files as openapi
from tests.support.service import Service

DOCUMENT: dict[str, Any] = json.loads(openapi.DOCUMENT.read_text())
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))
"""Time to send requests; by default, only a few of each kind are sent."""
NOT_OVER_HTTP = {"invalid_key", "photograph_not_kept"}
OF_NO_ROUTE = {"not_found", "method_not_allowed"}


def test_the_committed_files_are_up_to_date() -> None:
    for path, text in openapi.generate().items():
        assert path.read_text() == text, f"{path.name} is not up to date: make openapi"


def test_every_route_is_specified() -> None:
    routes = {path: sorted(methods) for path, methods in app.app.routes.items()}

    assert routes == {path: ["POST"] for path in DOCUMENT["paths"]}


def test_every_error_is_specified() -> None:
    kinds = {errors.Problem, *errors.Problem.__subclasses__()}
    shown = {
        code
        for path in DOCUMENT["paths"].values()
        for response in path["post"]["responses"].values()
        for code in response["content"].get("application/problem+json", {}).get("examples", {})
    }

    assert shown == {kind.code for kind in kinds} - NOT_OVER_HTTP - OF_NO_ROUTE
    for code in OF_NO_ROUTE:
        assert f"`{code}`" in DOCUMENT["info"]["description"]


def test_every_example_matches_its_schema() -> None:
    examples = 0
    for path in DOCUMENT["paths"].values():
        bodies = [path["post"]["requestBody"], *path["post"]["responses"].values()]
        for content in (kind for body in bodies for kind in body["content"].values()):
            schema = {**content.get("schema", {}), "components": closed()["components"]}
            for example in content.get("examples", {}).values():
                Draft202012Validator(schema).validate(example["value"])
                examples += 1
    assert examples > 40


def test_the_page_loads_nothing_from_other_sites() -> None:
    page = openapi.PAGE.read_text()

    assert re.findall(r'(?:src|href)="([^"]+)"', page) == ["redoc.standalone.js"]
    assert "default-src 'none'" in page


def closed() -> dict[str, Any]:
    """Return the specification, changed so that no object may have undeclared members."""
    document = copy.deepcopy(DOCUMENT)
    for schema in document["components"]["schemas"].values():
        schema["additionalProperties"] = False
    return document


def test_every_response_matches_the_specification(service: Service, tmp_path: Path) -> None:
    specification = tmp_path / "openapi.json"
    specification.write_text(json.dumps(closed()))
    options = {
        "url": service.api_url,
        "phases": "examples,coverage,fuzzing,stateful",
        "checks": "all",
        # The specification cannot tell a photograph from other base64.
        "exclude-checks": "positive_data_acceptance",
        "max-examples": "1000" if FUZZ_SECONDS else "12",
        "request-timeout": "30",
        "warnings": "off",
        **({"max-time": str(FUZZ_SECONDS)} if FUZZ_SECONDS else {"seed": "1"}),
    }
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", specification, "--continue-on-failure"]
        + [f"--{name}={value}" for name, value in options.items()],
        cwd=tmp_path,  # Schemathesis keeps its findings there
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),  # the hooks are imported from there
            "SCHEMATHESIS_HOOKS": "tests.contract.hooks",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated
    assert int(generated[1]) > 300
    assert not service.failed_events()
