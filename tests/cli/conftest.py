"""The command line, run in this process against the embedded AWS."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.config import Config

from chalicelib import clients, telemetry
from facial_recognition.cli.__main__ import main
from sample_photographs import landscape, photograph
from tests.support.service import Service


class Said(NamedTuple):
    """The exit code and the output of a command."""

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


class Terminal(io.StringIO):
    """A standard input with an operator who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def own_clients(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give commands clients of their own: those of the application have fewer permissions."""
    config = clients.CONFIG.merge(Config(user_agent_appid="operator", signature_version="s3v4"))
    made = {name: boto3.client(name, config=config) for name in ("s3", "dynamodb", "rekognition")}
    for name, client in made.items():
        monkeypatch.setattr(
            f"facial_recognition.cli.stage.clients.{name}", lambda client=client: client
        )


@pytest.fixture
def own_log() -> Iterator[None]:
    """Restore the level of the service's log, which commands silence."""
    logger = logging.getLogger(telemetry.SERVICE)
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture
def faces(own_clients: None, own_log: None, capsys: pytest.CaptureFixture[str]) -> Faces:
    """Return a function that runs ``faces`` with arguments."""

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
