"""Processes that users start by hand: they start, report errors in one line, and stop cleanly."""

import errno
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from localaws.account import REGION
from localaws.credentials import VARIABLE
from localaws.ports import PortUnusable, listen
from sample_photographs import photograph
from tests.infra.project import ProjectCopy
from tests.support.paths import ROOT
from tests.support.processes import (
    PATIENCE,
    localaws,
    run_service,
    session_of,
    started,
    wait_for,
    wait_until_gone,
)
from tests.support.service import TABLE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_service_starts_and_stops(number: signal.Signals) -> None:
    with started(*run_service("--port", "0", "--api-port", "0")) as process:
        api, aws = wait_for(process, r"^ready API (\S+) AWS (\S+)$").groups()
        answer = requests.post(
            f"{api}/register",
            params={"name": "Barack Obama", "personId": "obama"},
            data=photograph("obama.jpg"),
            headers={"Content-Type": "image/jpeg"},
            timeout=PATIENCE,
        )
        os.kill(process.pid, number)
        process.communicate()

        assert answer.status_code == 201, answer.text
        assert process.returncode == 0
        for url in (api, aws):
            with pytest.raises(requests.ConnectionError):
                requests.get(url, timeout=PATIENCE)
        wait_until_gone(process.pid)


def test_a_port_in_use_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        others = ("--port", "0", "--api-port")
        for name, arguments in {
            "AWS_PORT": ("--port", port),
            "API_PORT": (*others, port),
            "PAGES_PORT": (*others, "0", "--pages-port", port),
        }.items():
            with started(*run_service(*arguments)) as process:
                output, _ = process.communicate()
            assert process.returncode == 1
            *_, message = output.splitlines()
            assert message.startswith(
                f"error: Port {port} is in use by another program; choose another. ("
            )
            assert f"make run {name}=..." in message


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--port", "99999"), "Port 99999 does not exist: ports go up to 65535"),
        (("--port", "0", "--stage", "moon"), "There is no stage moon; there are dev, prod."),
    ],
)
def test_a_missing_port_or_stage_is_reported_in_one_line(
    arguments: tuple[str, ...], error: str
) -> None:
    with started(*run_service(*arguments)) as process:
        output, _ = process.communicate()

    assert process.returncode == 1
    (message,) = output.splitlines()[1:]
    assert message.startswith(f"error: {error}")


def test_a_port_without_permission_is_not_reported_as_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("socket.create_server", refuse)

    with pytest.raises(PortUnusable, match="Port 80 cannot be used: Permission denied; choose"):
        listen(80)


def test_the_local_service_forgets_people_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = run_service("--port", "0", "--api-port", "0", "--data", str(tmp_path / "data"))
    with started(*command) as process:
        session = session_of(process)
        url = wait_for(process, r"^ready API \S+ AWS (\S+)$")[1]
        record = {
            "faceId": "image#faces/obama/1.jpg",
            "personId": "obama",
            "status": "rejected",
            "registeredAt": "2020-01-01T00:00:00+00:00",
        }
        session.resource("dynamodb", endpoint_url=url).Table(TABLE).put_item(Item=record)
        process.send_signal(signal.SIGINT)
        process.communicate()

    monkeypatch.setenv("FORGET_AFTER_DAYS", "30")
    monkeypatch.setenv("VERIFICATIONS_NOTED_SINCE", "2020-01-01")
    with started(*command) as process:
        wait_for(process, '"message":"forgetting".*"persons_forgotten":1,"persons_left":0')


def test_the_service_can_be_deployed_to_an_empty_embedded_aws(tmp_path: Path) -> None:
    with started(*localaws("--port", "0")) as process:
        file = wait_for(process, rf"{VARIABLE}=(\S+)")[1]
        credentials = {VARIABLE: file, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        url = wait_for(process, r"^ready AWS (\S+)$")[1]
        where = {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": REGION}

        done = ProjectCopy(tmp_path).run("deploy", **credentials, **where)

        assert done.code == 0, done.error
        assert f"deployed: {url}/restapis/" in done.said


def test_chalice_local_can_run_on_the_same_embedded_aws(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with started(*run_service("--port", "0", "--data", str(data))) as aws:
        url = wait_for(aws, r"^ready AWS (\S+)$")[1]
        project = copy_of_the_project(tmp_path, endpoint=url)
        chalice = Path(sys.executable).parent / "chalice"
        # Python caches the modules in files. Chalice would take these for changes, and reload.
        command = [str(chalice), "local", "--no-autoreload", "--port", str(free_port())]
        with started(*command, cwd=project) as local:
            api = wait_for(local, r"Serving on (\S+)")[1]
            answer = requests.post(
                f"{api}/verify",
                data=photograph("obama.jpg"),
                headers={"Content-Type": "image/jpeg"},
                timeout=PATIENCE,
            )

    assert answer.status_code == 200, answer.text
    assert answer.json()["verified"] is False


def test_chalice_local_does_not_reload_for_files_that_are_only_opened() -> None:
    assert importlib.util.find_spec("watchdog") is None, "make uninstalls it"


def copy_of_the_project(folder: Path, endpoint: str) -> Path:
    """Copy the files that Chalice loads, with another endpoint in the dev stage."""
    shutil.copy(ROOT / "app.py", folder)
    shutil.copytree(ROOT / "chalicelib", folder / "chalicelib")
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    config["stages"]["dev"]["environment_variables"]["AWS_ENDPOINT_URL"] = endpoint
    (folder / ".chalice").mkdir()
    (folder / ".chalice" / "config.json").write_text(json.dumps(config))
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_python_that_is_too_old_is_reported_in_one_line(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 9, 2)\nexec(sys.argv[2])\n"
    )
    python.chmod(0o755)
    done = make(tmp_path, PYTHON=str(python))

    assert done.returncode != 0
    assert "Python 3.11 or newer is needed, this one is 3.9" in done.stderr.splitlines()[0]
    assert not (tmp_path / "venv").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_missing_python_is_reported_in_one_line(tmp_path: Path) -> None:
    done = make(tmp_path, PYTHON="python-that-is-not-there")

    assert done.returncode != 0
    assert "there is no python-that-is-not-there" in done.stderr.splitlines()[0]


def make(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run make with an environment in a folder and with variables of the Makefile."""
    settings = [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(
        ["make", "-C", str(ROOT), "run", f"VENV={folder}/venv", *settings],
        capture_output=True,
        text=True,
        check=False,
    )
