"""The data folder: private, of one process, and never that of another program."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from localaws.data_folder import DataFolder
from localaws.database import Database
from localaws.errors import DataUnusable

SCHEMA = "CREATE TABLE words (number INTEGER PRIMARY KEY, word TEXT NOT NULL);"


def fill(folder, *names):
    """Make a data folder with databases."""
    opened = DataFolder(folder)
    for name in names or ("rekognition.db", "services.db"):
        Database(folder / name, SCHEMA, "test").close()
    opened.close()


def insert(number, word="word"):
    return lambda db: db.execute("INSERT INTO words VALUES (?, ?)", (number, word))


def test_a_folder_is_its_owners_and_one_process_has_it(tmp_path):
    folder = DataFolder(tmp_path / "new" / "data")
    folder.access_key()
    Database(folder.path / "services.db", SCHEMA, "test").write(insert(1))

    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.path.iterdir()} == {0o600}
    with pytest.raises(DataUnusable, match="is in use by another process"):
        DataFolder(folder.path)
    folder.close()
    DataFolder(folder.path).close()


def test_a_fresh_folder_forgets_only_what_was_kept(tmp_path):
    folder = DataFolder(tmp_path)
    secret = folder.access_key().secret_access_key
    assert folder.access_key().secret_access_key == secret
    Database(tmp_path / "services.db", SCHEMA, "test").close()
    for name in ("notes.txt", "mine.db", "services.db.bak"):
        (tmp_path / name).write_text("mine")
    folder.close()

    folder = DataFolder(tmp_path, fresh=True)

    left = ["lock", "mine.db", "notes.txt", "services.db.bak"]
    assert sorted(file.name for file in tmp_path.iterdir()) == left
    assert folder.access_key().secret_access_key != secret
    folder.close()


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(
    "names", [["notes.txt"], ["services.db"], ["lock", "other"], ["lock", "services.db", "other"]]
)
def test_a_folder_of_other_programs_is_left_as_it_is(tmp_path, names, fresh):
    tmp_path.chmod(0o755)
    for name in names:
        (tmp_path / name).write_text("foreign")

    with pytest.raises(DataUnusable, match="holds files of other programs"):
        DataFolder(tmp_path, fresh=fresh)

    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys(
        names, "foreign"
    )


@pytest.mark.parametrize("name", ["lock", "services.db", "credentials"])
def test_links_are_not_followed(tmp_path, name):
    (tmp_path / "target").write_text("foreign")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "target")

    with pytest.raises(DataUnusable, match="is a link, or belongs to another user"):
        DataFolder(folder, fresh=True)

    assert (tmp_path / "target").read_text() == "foreign"


def test_a_folder_with_nobodys_files_is_as_good_as_empty(tmp_path):
    (tmp_path / ".gitignore").write_text("*")

    DataFolder(tmp_path, fresh=True).close()

    assert (tmp_path / ".gitignore").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(DataUnusable, match="cannot keep data in"):
        DataFolder(tmp_path / "file" / "data")


def seen(folder):
    """Return everything in a folder that a program could change."""
    entries = [folder, *sorted(folder.rglob("*"))]
    return [(str(e), e.lstat().st_mode, e.is_file() and e.read_bytes()) for e in entries]


def test_a_folder_that_is_ours_stays_ours_whatever_is_in_it_or_missing(tmp_path):
    fill(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    for name in ("rekognition.db", "services.db", "services.db-mark", "rekognition.db-mark"):
        (tmp_path / name).write_text("damaged")
    tmp_path.chmod(0o755)

    DataFolder(tmp_path, fresh=True).close()
    DataFolder(tmp_path).close()

    assert sorted(file.name for file in tmp_path.iterdir()) == ["lock", "notes.txt"]
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_a_former_version_is_ours(tmp_path):
    fill(tmp_path)
    for file in tmp_path.glob("*-mark"):
        file.unlink()
    (tmp_path / "lock").write_text("")
    (tmp_path / "notes.txt").write_text("mine")

    DataFolder(tmp_path).close()
    (tmp_path / "lock").unlink()
    DataFolder(tmp_path).close()


@pytest.mark.parametrize("do", [Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("name", ["rekognition.db", "services.db"])
def test_a_database_that_a_former_version_left_alone_is_missed(tmp_path, name, do):
    fill(tmp_path)
    for path in tmp_path.glob("*.db"):
        with closing(sqlite3.connect(path)) as former:
            former.execute("DROP TABLE mark")
            former.commit()
        Path(f"{path}-mark").unlink()
    folder = DataFolder(tmp_path)
    folder.check_partners()
    do(tmp_path / name)

    with pytest.raises(DataUnusable, match=f"{name} is missing or empty, but .* is there"):
        folder.check_partners()
    folder.close()


def test_a_folder_of_rekognition_alone_can_be_used_by_the_other_services(tmp_path):
    fill(tmp_path, "rekognition.db")

    folder = DataFolder(tmp_path)
    folder.check_partners()
    folder.close()
    fill(tmp_path)


def test_a_database_of_another_program_is_not_deleted(tmp_path):
    fill(tmp_path, "rekognition.db")
    with closing(sqlite3.connect(tmp_path / "services.db")) as other:
        other.execute("CREATE TABLE orders (number INTEGER)")
        other.commit()
    before = seen(tmp_path)

    for fresh in (False, True):
        with pytest.raises(DataUnusable, match=r"of other programs, such as services\.db"):
            DataFolder(tmp_path, fresh=fresh)

    assert seen(tmp_path) == before


def test_data_folders_may_lie_in_each_other(tmp_path):
    fill(tmp_path / "data" / "prod")
    fill(tmp_path / "data")
    DataFolder(tmp_path / "data", fresh=True).close()

    assert (tmp_path / "data" / "prod" / "services.db").exists()


def test_a_name_may_have_any_signs(tmp_path):
    folder = tmp_path / "50%41?mode=rw#x"
    fill(folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "lock").unlink()
    for file in folder.glob("*-mark"):
        file.unlink()

    DataFolder(folder).close()


def test_a_deletion_that_was_killed_goes_on(tmp_path):
    fill(tmp_path)
    (tmp_path / "lock").write_text("localaws deletes its data in this folder.\n")
    (tmp_path / "rekognition.db").unlink()

    DataFolder(tmp_path).close()

    assert [file.name for file in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize("fresh", [False, True])
def test_home_and_folders_of_all_are_refused(tmp_path, monkeypatch, fresh):
    monkeypatch.setenv("HOME", str(tmp_path))
    tmp_path.chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path)

    for folder in (tmp_path, tmp_path / "link", "/", "/tmp"):
        with pytest.raises(DataUnusable, match="is not for data alone"):
            DataFolder(folder, fresh=fresh)

    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert not (tmp_path / "lock").exists()


def test_a_link_to_a_folder_is_followed_and_one_to_nothing_is_not(tmp_path):
    fill(tmp_path / "there")
    (tmp_path / "data").symlink_to(tmp_path / "there")
    DataFolder(tmp_path / "data").close()
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")

    with pytest.raises(DataUnusable, match="cannot keep data in"):
        DataFolder(tmp_path / "lost")

    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to others")
@pytest.mark.parametrize("name", [".", "services.db", "lock"])
def test_what_belongs_to_another_user_is_refused(tmp_path, name):
    fill(tmp_path)
    os.chown(tmp_path / name, 12345, -1)
    before = seen(tmp_path)

    with pytest.raises(DataUnusable, match="belongs to another user"):
        DataFolder(tmp_path, fresh=True)

    assert seen(tmp_path) == before


FULL = """
import errno, resource, signal, sys
from localaws.data_folder import DataFolder
from localaws.database import Database
from localaws.errors import DataUnusable

folder = DataFolder(sys.argv[1], fresh=sys.argv[2] == "fresh")
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    Database(folder.path / "services.db", "CREATE TABLE words (n INTEGER);", "test")
except DataUnusable as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("fresh", ["fresh", "kept"])
def test_a_start_on_a_full_disk_does_not_call_the_data_damaged(tmp_path, fresh):
    fill(tmp_path)
    command = [sys.executable, "-c", FULL, str(tmp_path), fresh]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert "not damaged" in done.stderr
    assert done.stderr.count("\n") == 1
    fill(tmp_path)
