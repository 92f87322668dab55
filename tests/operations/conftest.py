"""The command line, run in this process against the embedded AWS."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from operations.__main__ import main
from tests.photographs import landscape, photograph
from tests.service import Service


class Said(NamedTuple):
    """What a command has answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer of a command with --json."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error of a command with --json."""
        return json.loads(self.err)["error"]


Faces = Callable[..., Said]


@pytest.fixture
def faces(service: Service, capsys: pytest.CaptureFixture[str]) -> Faces:
    """Run faces with arguments."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two people with three photographs, and files that cannot be registered."""
    files = {
        "people/obama/one.jpg": photograph("obama.jpg"),
        "people/obama/two.jpg": photograph("obama2.jpg"),
        "people/Joe Biden/biden.jpg": photograph("biden.jpg"),
        "people/obama/sky.jpg": landscape(),
        "people/obama/notes.txt": b"not a photograph",
        "people/obama/.DS_Store": b"hidden",
        "people/loose.jpg": photograph("obama3.jpg"),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "people"
