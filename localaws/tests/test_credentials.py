"""The access key of a data folder: secret, kept, and never mixed up with another one."""

import os
import stat
from pathlib import Path

import pytest

from localaws.credentials import AccessKey, shell_variables
from localaws.data_folder import DataFolder
from localaws.errors import DataUnusable
from processes import session_with

OF_THE_OWNER = "[default]\naws_access_key_id = AKIAREAL\naws_secret_access_key = real\n"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_key_is_kept_where_only_the_owner_can_read_it(tmp_path: Path) -> None:
    os.umask(before := os.umask(0))
    os.umask(0)
    try:
        key = AccessKey.kept_in(tmp_path)
    finally:
        os.umask(before)

    file = tmp_path / "credentials"
    assert mode(file) == 0o600
    assert len(key.secret_access_key) == 40
    assert key.secret_access_key not in repr(key)
    assert AccessKey.kept_in(tmp_path) == key
    assert session_with(file).get_credentials().secret_key == key.secret_access_key
    assert [path.name for path in tmp_path.iterdir()] == ["credentials"]
    assert AccessKey.new().secret_access_key != key.secret_access_key


@pytest.mark.parametrize(
    "content",
    ["", "\0\xff", "[default]\n", "[default]\naws_access_key_id = local\n", "[default", "x = 1"],
)
def test_a_damaged_file_gets_a_new_key(tmp_path: Path, content: str) -> None:
    before = AccessKey.kept_in(tmp_path)
    (tmp_path / "credentials").write_text(content)

    key = AccessKey.kept_in(tmp_path)

    assert key != before
    assert AccessKey.kept_in(tmp_path) == key


def test_a_key_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    before = AccessKey.kept_in(tmp_path)
    (tmp_path / "credentials").chmod(0o644)

    assert AccessKey.kept_in(tmp_path) != before
    assert mode(tmp_path / "credentials") == 0o600


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(
    "content", [OF_THE_OWNER, OF_THE_OWNER.replace("default", "work"), f"{OF_THE_OWNER}junk"]
)
def test_credentials_for_aws_itself_are_left_alone(
    tmp_path: Path, content: str, fresh: bool
) -> None:
    file = tmp_path / "credentials"
    file.write_text(content)

    with pytest.raises(DataUnusable, match="holds another access key: choose another folder"):
        DataFolder(tmp_path, fresh=fresh)

    assert file.read_text() == content


def test_a_fresh_folder_gets_a_new_key(tmp_path: Path) -> None:
    before = AccessKey.kept_in(tmp_path)
    folder = DataFolder(tmp_path, fresh=True)
    folder.close()

    assert folder.access_key() != before


def test_a_key_without_a_folder_is_in_a_private_file_until_the_end() -> None:
    key = AccessKey.new()
    with shell_variables(key, None, "http://127.0.0.1:1") as line:
        file = Path(line.partition("=")[2].split()[0])
        assert (mode(file), mode(file.parent)) == (0o600, 0o700)
        assert session_with(file).get_credentials().secret_key == key.secret_access_key
        assert key.secret_access_key not in line

    assert not file.parent.exists()
