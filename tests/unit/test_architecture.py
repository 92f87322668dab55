"""The rules of the code base: who may import whom, file lengths, and what Lambda has to have."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.imports import (
    Rule,
    breaches,
    circles,
    imports,
    long_files,
    sources_in,
    upward_imports,
)
from tests.support.paths import ROOT

CODE = {
    "app": ROOT,
    "chalicelib": ROOT,
    "facial_recognition": ROOT,
    "localaws": ROOT / "localaws" / "src",
}
"""Our modules and packages, with the folders they are in."""
SOURCES = {
    module: text
    for package, folder in CODE.items()
    for module, text in sources_in(folder, package).items()
}
MAX_LINES = 500

DATA_MODULES = tuple(
    f"chalicelib.{name}" for name in ("storage", "records", "items", "faces", "audit")
)
RULES = (
    Rule(
        "the deployed code knows nothing of running locally",
        ("app", "chalicelib"),
        ("facial_recognition", "localaws", "bench", "tests"),
    ),
    Rule(
        "localaws imports nothing of this project",
        ("localaws",),
        ("app", "chalicelib", "facial_recognition", "bench", "tests"),
    ),
    Rule(
        "a data module knows nothing of HTTP",
        DATA_MODULES,
        ("chalicelib.messages", "chalicelib.http"),
    ),
    Rule(
        "only routes, requests, responses and authorizers are Chalice's",
        ("chalicelib",),
        ("chalice",),
        exceptions=("chalicelib.http", "chalicelib.access"),
    ),
    Rule(
        "clients makes the boto3 clients, and items uses boto3's serializer",
        ("app", "chalicelib"),
        ("boto3",),
        exceptions=("chalicelib.clients", "chalicelib.items"),
    ),
    Rule(
        "pacing is the one executor",
        ("app", "chalicelib"),
        ("concurrent",),
        exceptions=("chalicelib.pacing",),
    ),
    Rule(
        "the deployment serves the command line and the local run, and uses neither",
        ("facial_recognition.infra",),
        ("facial_recognition.cli", "facial_recognition.local"),
    ),
    Rule(
        "the local run knows nothing of the command line",
        ("facial_recognition.local",),
        ("facial_recognition.cli",),
    ),
    Rule(
        "the specification describes the deployed code only",
        ("facial_recognition.specification",),
        ("facial_recognition.cli", "facial_recognition.infra", "facial_recognition.local"),
    ),
)

LAYERS = tuple(
    frozenset(f"chalicelib.{name}" for name in names.split())
    for names in (
        "models errors",
        "images items settings",
        "keys messages telemetry",
        "storage records faces http clients access pacing",
        "audit outcomes registration verification",
        "convergence",
        "indexing forgetting",
    )
)
"""The modules of chalicelib, from the lowest layer to the highest. A module imports only modules of
lower layers."""


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_imports_only_what_the_rules_allow(module: str) -> None:
    assert breaches(module, SOURCES, RULES) == []


def test_every_module_of_chalicelib_is_in_one_layer() -> None:
    modules = [module for module in SOURCES if module.startswith("chalicelib.")]

    assert sorted(module for layer in LAYERS for module in layer) == sorted(modules)


@pytest.mark.parametrize("module", sorted(frozenset().union(*LAYERS)))
def test_a_module_of_chalicelib_imports_only_lower_layers(module: str) -> None:
    assert upward_imports(module, SOURCES, LAYERS) == []


@pytest.mark.parametrize("package", CODE)
def test_no_modules_import_each_other(package: str) -> None:
    assert circles(sources_in(CODE[package], package)) == []


@pytest.mark.parametrize("package", [package for package in CODE if package != "app"])
def test_no_file_is_too_long(package: str) -> None:
    assert long_files(CODE[package] / package, MAX_LINES) == {}


def test_the_application_needs_nothing_but_its_requirements_and_what_lambda_brings() -> None:
    """Import app.py, and look at the packages that were loaded."""
    names = {"aws-lambda-powertools": "aws_lambda_powertools"}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    required = [line.split("==")[0] for line in lines if line and not line.startswith("#")]
    allowed = {names.get(name, name) for name in required} | {"chalice", "boto3", "botocore"}
    script = (
        "import sys, app\n"
        "top = {n.split('.')[0] for n, m in sys.modules.items()"
        " if 'site-packages' in (getattr(m, '__file__', None) or '')}\n"
        "print(*sorted(top))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    found = {name for name in done.stdout.split() if not name.startswith("_")}
    brought = {"jmespath", "s3transfer", "urllib3", "dateutil", "six", "typing_extensions"}
    assert found - allowed - brought - {"certifi"} == set()  # botocore uses certifi if it is there


def test_importing_the_application_makes_no_client() -> None:
    script = (
        "import boto3\n"
        "def refuse(*a, **k): raise AssertionError('a session was made')\n"
        "boto3.Session = boto3.session.Session = refuse\n"
        "import app"
    )

    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


class TestTheChecks:
    """The checks above find what they are for."""

    def test_localaws_may_not_import_chalicelib(self, tmp_path: Path) -> None:
        (tmp_path / "localaws").mkdir()
        (tmp_path / "localaws" / "__init__.py").touch()
        (tmp_path / "localaws" / "server.py").write_text("from chalicelib.faces import Faces\n")

        found = breaches("localaws.server", sources_in(tmp_path, "localaws"), RULES)

        assert found == [
            "localaws.server imports chalicelib.faces: localaws imports nothing of this project"
        ]

    @pytest.mark.parametrize("module", DATA_MODULES)
    @pytest.mark.parametrize(
        "text",
        [
            "from chalicelib.messages import Verification",
            "from chalicelib import http",
            "import chalicelib.http",
            "from .messages import Verification",
            "def late():\n    from chalicelib.messages import Verification",
            "if TYPE_CHECKING:\n    from chalicelib.messages import Verification",
        ],
    )
    def test_a_data_module_may_not_import_messages_or_http(self, module: str, text: str) -> None:
        [found] = breaches(module, {**SOURCES, module: text}, RULES)

        assert found.startswith(f"{module} imports chalicelib.")
        assert found.endswith("a data module knows nothing of HTTP")

    def test_errors_may_not_import_chalice(self) -> None:
        sources = {"chalicelib.errors": "from chalice.app import Response"}

        assert len(breaches("chalicelib.errors", sources, RULES)) == 1

    def test_exceptions_may_import(self) -> None:
        sources = {"chalicelib.http": "from chalice.app import Response"}

        assert breaches("chalicelib.http", sources, RULES) == []

    def test_a_name_that_only_begins_like_a_package_is_another(self) -> None:
        sources = {"localaws": "import appdirs", "chalicelibrary": "import localaws"}

        assert [breaches(module, sources, RULES) for module in sources] == [[], []]

    def test_modules_of_one_layer_may_not_import_each_other(self) -> None:
        sources = {**SOURCES, "chalicelib.storage": "from chalicelib.faces import Faces"}

        assert upward_imports("chalicelib.storage", sources, LAYERS) == [
            "chalicelib.storage imports chalicelib.faces, which is not in a lower layer"
        ]

    def test_a_circle_is_found_through_other_modules(self) -> None:
        sources = {
            "p": "",
            "p.a": "from p import b",
            "p.b": "import p.c",
            "p.c": "from .a import x",
            "p.d": "from p.a import x",
        }

        assert circles(sources) == [["p.a", "p.b", "p.c"]]

    def test_imports_for_types_and_inside_functions_make_no_circle(self) -> None:
        sources = {
            "p.a": "from p.b import x\nfrom p.c import x",
            "p.b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.a",
            "p.c": "class C:\n    def f(self):\n        import p.a",
        }

        assert circles(sources) == []

    def test_imports_in_classes_and_conditions_run_at_the_start(self) -> None:
        sources = {"p": "import sys\nif sys.argv:\n    import a\nclass C:\n    import b"}

        assert [i.module for i in imports("p", sources) if i.is_at_start] == ["sys", "a", "b"]

    def test_a_long_file_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "short.py").write_text("x\n" * MAX_LINES)
        (tmp_path / "long.py").write_text("x\n" * (MAX_LINES + 1))

        assert long_files(tmp_path, MAX_LINES) == {"long.py": MAX_LINES + 1}
