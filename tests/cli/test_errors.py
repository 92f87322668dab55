"""Every error is one line that says what to do, and never a traceback."""

import functools
import json
import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from facial_recognition.cli.errors import explain
from tests.cli.conftest import Faces
from tests.support.processes import run_faces
from tests.support.service import Service

KEY = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_it_is_installed_as_a_command() -> None:
    command = os.path.join(os.path.dirname(sys.executable), "faces")

    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)

    assert "register" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (("people", "--stage", "moon"), {}, "There is no stage moon; there are dev, prod."),
        (
            ("people",),
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", **KEY},
            "Nothing answers at http://127.0.0.1:9: start it with make run.",
        ),
        (("people",), {"INDEX_RATE": "many"}, "INDEX_RATE"),
        (
            ("people",),
            {"AWS_ENDPOINT_URL": "nonsense"},
            "AWS_ENDPOINT_URL is not an address: nonsense",
        ),
    ],
)
def test_a_stage_that_cannot_be_used(
    arguments: tuple[str, ...], environment: dict[str, str], message: str
) -> None:
    done = run_faces(*arguments, **environment)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["people", "check"])
def test_a_server_that_is_not_aws(command: str, tmp_path: Path) -> None:
    pages = functools.partial(QuietHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"http://127.0.0.1:{server.server_port}"

        done = run_faces(command, AWS_ENDPOINT_URL=address, **KEY)

        server.shutdown()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: The server at {address} is not AWS")
    assert done.stderr.count("\n") == 1


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_unexpected_error_is_one_line_too(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("broken\nin two")

    monkeypatch.setattr("facial_recognition.cli.people.people", break_down)

    plain, as_json = faces("people"), faces("people", "--json")
    monkeypatch.setenv("FACES_DEBUG", "1")
    traced = faces("people")

    message = "RuntimeError: broken in two (FACES_DEBUG=1 shows where)"
    assert (plain.code, plain.out, plain.err) == (2, "", f"error: {message}\n")
    assert (as_json.code, as_json.error) == (2, {"code": "internal", "detail": message})
    assert "in break_down" in traced.err


def test_help_is_shown_as_it_is(faces: Faces) -> None:
    bare = faces()

    assert (bare.code, bare.err) == (0, "")
    assert len(bare.out.splitlines()) > 15
    assert bare.out == faces("-h").out == faces("--help").out
    assert faces("show", "-h").out.startswith("Usage: faces show")


def test_ctrl_c_during_the_imports(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "facial_recognition.cli.run":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "facial_recognition.cli.run", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])

    assert faces("people").code == 130
    assert faces("run").code == 0  # Ctrl-C is the way to end it


def test_a_stage_that_is_not_set_up(faces: Faces, service: Service) -> None:
    service.aws.reset()

    for command in (("people",), ("check",), ("show", "ada"), ("forget", "ada", "--yes")):
        said = faces(*command, "--json")
        assert (said.code, said.error["code"]) == (2, "not_set_up"), said
        assert "make run sets up dev" in said.error["detail"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("peple",),
        ("show",),
        ("verify", "not-there.jpg"),
        ("register", "not-there"),
        ("verify", "x", "--threshold", "high"),
        ("show", "a b"),
    ],
)
def test_mistakes_in_the_command_line(faces: Faces, arguments: tuple[str, ...]) -> None:
    said = faces(*arguments, "--json")

    assert (said.code, said.out) == (2, "")
    assert said.error["detail"]
    plain = faces(*arguments)
    assert plain.err.startswith("error: ")
    assert plain.err.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        ("AccessDeniedException", "access_denied", "does not allow you ListFaces"),
        ("ExpiredTokenException", "credentials", "sign in again"),
        ("ThrottlingException", "throttled", "--rate"),
        ("InternalServerError", "aws_error", "ListFaces with InternalServerError"),
    ],
)
def test_refusals_of_aws(code: str, expected: str, words: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "secret"}}, "ListFaces")

    found, detail = explain(error, "prod")

    assert found == expected
    assert words in detail
    assert "secret" not in detail


@pytest.mark.parametrize(
    ("message", "expected", "words"),
    [
        (
            "User x is not authorized to perform: iam:CreateRole on resource: role/r",
            "access_denied",
            "You lack the permission iam:CreateRole on role/r.",
        ),
        ("Template format error", "aws_error", "Template format error"),
    ],
)
def test_a_refused_deploy_is_explained_in_the_words_of_aws(
    message: str, expected: str, words: str
) -> None:
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": message}}, "CreateRole")

    found, detail = explain(error, "prod", deploying=True)

    assert found == expected
    assert words in detail


def test_missing_credentials() -> None:
    assert "aws configure" in explain(NoCredentialsError(), "prod")[1]


def test_shells_complete_commands_and_stages() -> None:
    def completed(words: str) -> str:
        return run_faces(
            _FACES_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
        ).stdout

    assert "threshold" in completed("faces thr")
    assert completed("faces people --stage ").split() == ["dev", "prod"]


def test_logs_do_not_mix_with_answers(faces: Faces, service: Service) -> None:
    said = faces("check", "--repair", "--json")

    assert json.loads(said.out)["findings"] == []
    assert said.err == ""
