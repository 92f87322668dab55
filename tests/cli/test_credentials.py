"""The stage dev uses the access key of its own data folder, and no credentials of the operator."""

import os
from pathlib import Path

import botocore.session
import pytest

from facial_recognition.infra import stages
from localaws.credentials import AccessKey
from tests.support.processes import run_faces

CONFIG = """
[default]
role_arn = arn:aws:iam::123456789012:role/of-the-operator
source_profile = operator
[profile operator]
aws_access_key_id = AKIAREAL
aws_secret_access_key = real
"""
REAL = {"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "real", "AWS_SESSION_TOKEN": "t"}
OF_THE_OPERATOR = [
    {},
    REAL,
    {"AWS_PROFILE": "missing"},
    {"AWS_DEFAULT_PROFILE": "missing"},
    {"AWS_CONFIG_FILE": "config"},
    {"AWS_WEB_IDENTITY_TOKEN_FILE": "config", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"},
]


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AccessKey:
    """The key in ``data/credentials`` below the current folder, with a configuration of AWS."""
    monkeypatch.chdir(tmp_path)
    Path("config").write_text(CONFIG)
    Path("data").mkdir()
    return AccessKey.kept_in(Path("data"))


def found() -> str | None:
    """Return the secret that boto3 finds in the environment of this process."""
    credentials = botocore.session.Session().get_credentials()
    return credentials.secret_key if credentials else None


@pytest.mark.parametrize("environment", OF_THE_OPERATOR, ids=str)
def test_faces_uses_the_key_of_the_data_folder(
    environment: dict[str, str], key: AccessKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = {"AWS_SHARED_CREDENTIALS_FILE": "data/credentials"}
    for endpoint in ({}, {"AWS_ENDPOINT_URL": "http://localhost:99"}):
        monkeypatch.setattr(os, "environ", {**environment, **endpoint, **file})
        stages.set_environment("dev")

        assert found() == key.secret_access_key


@pytest.mark.parametrize("environment", OF_THE_OPERATOR, ids=str)
def test_chalice_local_uses_the_key_of_the_data_folder(
    environment: dict[str, str], key: AccessKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(environment))
    os.environ.update(stages.StageConfig("dev").environment)  # as Chalice does

    assert found() == key.secret_access_key


def test_the_file_of_the_checkout_is_found_from_any_folder(
    key: AccessKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {})
    stages.set_environment("dev")

    assert Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).is_absolute()


@pytest.mark.parametrize(
    "environment",
    [
        {**REAL, "AWS_ENDPOINT_URL": "https://aws.example"},
        {**REAL, "AWS_ACCESS_KEY_ID": "local"},
    ],
    ids=str,
)
def test_credentials_for_another_place_stay(
    environment: dict[str, str], key: AccessKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(environment))
    stages.set_environment("dev")

    assert found() == "real"


def test_a_missing_key_is_said_in_one_line(tmp_path: Path) -> None:
    file = str(tmp_path / "credentials")
    done = run_faces("people", AWS_SHARED_CREDENTIALS_FILE=file, **REAL)

    assert done.returncode == 2
    assert done.stderr == f"error: There is no {file}: make run writes it. Start that first.\n"
