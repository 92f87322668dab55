"""What is deployed: the application and what it needs, and nothing else."""

import zipfile
from pathlib import PurePosixPath

import pytest

from tests.deploy.deployment import ROOT, Deployment

MOST_BYTES = 2 * 1024 * 1024
APPLICATION = {"app.py", "chalicelib"}
CHALICE = {"chalice"}
REQUIREMENTS = {
    "aws_lambda_powertools",
    "jmespath",
    "msgspec",
    "multipart.py",
    "typing_extensions.py",
}


@pytest.fixture(scope="module")
def names(deployment: Deployment) -> list[PurePosixPath]:
    """The files in the package."""
    with zipfile.ZipFile(deployment.package) as package:
        return [PurePosixPath(name) for name in package.namelist() if not name.endswith("/")]


def test_the_package_is_small(deployment: Deployment) -> None:
    assert deployment.package.stat().st_size < MOST_BYTES


def test_it_holds_the_application_and_what_it_requires(names: list[PurePosixPath]) -> None:
    top = {name.parts[0] for name in names}
    described = {part for part in top if part.endswith((".dist-info", ".data"))}

    assert top - described == APPLICATION | CHALICE | REQUIREMENTS


def test_it_holds_all_of_the_application(names: list[PurePosixPath]) -> None:
    ours = {str(name) for name in names if name.parts[0] in APPLICATION}

    modules = (ROOT / "chalicelib").glob("*.py")
    assert ours == {"app.py", *(f"chalicelib/{module.name}" for module in modules)}


def test_nothing_is_compiled_in_advance(names: list[PurePosixPath]) -> None:
    assert [name for name in names if "__pycache__" in name.parts] == []
