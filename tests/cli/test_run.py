"""``faces run`` as a script and as a module; see tests/integration/test_processes.py too."""

import os
import signal
import sys
import time
from pathlib import Path

import boto3
import pytest
import requests

from sample_photographs import photograph
from tests.cli.conftest import Faces
from tests.support.processes import PATIENCE, session_of, started, wait_for, wait_until_gone
from tests.support.service import COLLECTION

FACES = str(Path(sys.executable).with_name("faces"))


@pytest.mark.parametrize(
    "program",
    [(FACES,), (sys.executable, "-m", "facial_recognition.cli")],
    ids=["script", "module"],
)
def test_the_service_runs_by_each_name_of_the_command(program: tuple[str, ...]) -> None:
    with started(*program, "run", "--port", "0", "--api-port", "0") as process:
        session = session_of(process)
        api, aws = wait_for(process, r"^ready API (\S+) AWS (\S+)$").groups()
        answer = requests.post(
            f"{api}/register",
            params={"name": "Barack Obama", "personId": "obama"},
            data=photograph("obama.jpg"),
            headers={"Content-Type": "image/jpeg"},
            timeout=PATIENCE,
        )
        assert answer.status_code == 201, answer.text
        wait_for_a_face(session, aws)  # a worker has indexed it
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does after Ctrl-C
        output, _ = process.communicate()

        assert process.returncode == 0
        assert "stopping ...\n" in output
        assert "Traceback" not in output
        wait_until_gone(process.pid)


def wait_for_a_face(session: boto3.Session, aws: str) -> None:
    rekognition = session.client("rekognition", endpoint_url=aws)
    until = time.monotonic() + PATIENCE
    while not rekognition.list_faces(CollectionId=COLLECTION)["Faces"]:
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_while_it_starts(number: signal.Signals) -> None:
    with started(FACES, "run", "--port", "0", "--api-port", "0") as process:
        wait_for(process, r"^starting the embedded AWS")
        os.killpg(process.pid, number)
        output, _ = process.communicate()

        assert process.returncode == 0, output
        assert "Traceback" not in output
        wait_until_gone(process.pid)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--pages-port", "0"), "--pages-port needs --api-port"),
        (("run", "--port", "many"), "--port"),
        (("deploy",), "--stage"),
        (("undeploy",), "--stage"),
        (("deploy", "--stage", "prod", "--data-stack", "other"), "--data-stack"),
    ],
)
def test_a_wrong_option_is_told_like_that_of_any_command(
    faces: Faces, arguments: tuple[str, ...], message: str
) -> None:
    said = faces(*arguments)

    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.err.count("\n") == 1
