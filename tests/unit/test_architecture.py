"""The rules of the house: who may import whom, and what goes into Lambda."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LOCAL = ("localaws", "facial_recognition")
DEPLOYED = [ROOT / "app.py", *sorted((ROOT / "chalicelib").glob("*.py"))]


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", DEPLOYED, ids=lambda path: path.name)
def test_what_is_deployed_knows_nothing_of_running_locally(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] in LOCAL}


@pytest.mark.parametrize("path", DEPLOYED, ids=lambda path: path.name)
def test_boto3_is_only_where_aws_is_spoken_to(path: Path) -> None:
    speaks = path.name in ("clients.py", "storage.py")

    assert speaks or not {name for name in imports(path) if name.split(".")[0] == "boto3"}


def test_storage_and_faces_do_not_know_each_other() -> None:
    assert "chalicelib.faces" not in imports(ROOT / "chalicelib" / "storage.py")
    assert "chalicelib.storage" not in imports(ROOT / "chalicelib" / "faces.py")


def test_the_application_needs_nothing_but_its_requirements_and_what_lambda_brings() -> None:
    """Import app.py where only requirements.txt, Chalice and boto3 may be imported."""
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
