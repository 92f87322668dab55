"""The database: answered changes are on disk, and damage is noticed."""

import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localaws.data_folder import DataFolder
from localaws.database import Database
from localaws.errors import DataNotStored, DataUnusable

SCHEMA = "CREATE TABLE words (number INTEGER PRIMARY KEY, word TEXT NOT NULL);"
PAGE = 4096


def insert(number, word="word"):
    return lambda db: db.execute("INSERT INTO words VALUES (?, ?)", (number, word)) and number


def numbers(database):
    return [number for (number,) in database.read("SELECT number FROM words ORDER BY number")]


@pytest.fixture
def killed(tmp_path):
    """The files of a database whose process was killed after 50 writes."""
    database = Database(tmp_path / "words.db", SCHEMA, "test")
    for number in range(50):
        database.write(insert(number))
    folder = tmp_path / "killed"
    folder.mkdir()
    for file in tmp_path.glob("words.db*"):
        shutil.copy(file, folder)
    database.close()
    (folder / "words.db-shm").unlink()
    return folder / "words.db"


def opened(path):
    return Database(path, SCHEMA, "test")


def test_many_threads_write_at_once_and_none_is_lost(tmp_path):
    database = opened(tmp_path / "words.db")
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda n: database.write(insert(n)), range(500))) == list(range(500))
    assert numbers(database) == list(range(500))
    database.close()

    assert numbers(opened(tmp_path / "words.db")) == list(range(500))


def test_changes_that_wait_share_a_transaction(tmp_path):
    database = opened(tmp_path / "words.db")
    first_is_at_it, go_on = threading.Event(), threading.Event()
    commits = []
    database._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else 0)

    def slow(db):
        first_is_at_it.set()
        go_on.wait()

    with ThreadPoolExecutor(9) as pool:
        pool.submit(database.write, slow)
        first_is_at_it.wait()
        others = [pool.submit(database.write, insert(number)) for number in range(8)]
        while database._waiting.qsize() < 8:
            pass
        go_on.set()
        assert [other.result() for other in others] == list(range(8))

    assert len(commits) == 2


def test_a_change_that_fails_is_undone_and_spares_the_others(tmp_path):
    database = opened(tmp_path / "words.db")

    def fail(db):
        insert(1)(db)
        raise KeyError

    failing, succeeding = database.submit(fail), database.submit(insert(2))

    with pytest.raises(KeyError):
        failing()
    assert succeeding() == 2
    assert numbers(database) == [2]


def test_after_a_kill_everything_is_there(killed):
    assert numbers(opened(killed)) == list(range(50))


@pytest.mark.parametrize("lost", [1, 24, 2000, PAGE, PAGE + 24 + 1])
def test_a_torn_end_is_dropped_and_nothing_else(killed, lost):
    log = killed.with_name("words.db-wal")
    content = log.read_bytes()
    log.write_bytes(content[:-lost])

    assert numbers(opened(killed)) == list(range(50 - -(-lost // (PAGE + 24))))


def test_an_end_of_other_bytes_is_dropped(killed):
    log = killed.with_name("words.db-wal")
    content = log.read_bytes()
    log.write_bytes(content[:-1000] + bytes(1000))

    assert numbers(opened(killed)) == list(range(49))


@pytest.mark.parametrize("where", [5, 32 + 12, 32 + 24 + 100, -3 * (PAGE + 24) + 500])
def test_damage_in_the_middle_of_the_log_is_an_error(killed, where):
    log = killed.with_name("words.db-wal")
    content = bytearray(log.read_bytes())
    content[where] ^= 0xFF
    log.write_bytes(content)

    with pytest.raises(DataUnusable, match=r"words\.db-wal is damaged"):
        opened(killed)


def test_damage_in_the_file_is_an_error(tmp_path):
    path = tmp_path / "words.db"
    database = opened(path)
    with sqlite3.connect(path) as other:
        other.executemany(
            "INSERT INTO words VALUES (?, ?)", [(n, "word" * 20) for n in range(1000)]
        )
    other.close()
    database.close()
    content = bytearray(path.read_bytes())
    content[5 * PAGE : 5 * PAGE + 100] = bytes(100)
    path.write_bytes(content)

    with pytest.raises(DataUnusable, match=r"words\.db is damaged"):
        opened(path).check("words")


@pytest.mark.parametrize("content", [b"something else", b"x" * 10000])
def test_another_file_is_not_taken_for_data(tmp_path, content):
    (tmp_path / "words.db").write_bytes(content)

    with pytest.raises(DataUnusable, match=r"words\.db is damaged"):
        opened(tmp_path / "words.db")


def test_data_of_another_program_is_not_read(tmp_path):
    Database(tmp_path / "words.db", SCHEMA, "version 1").close()

    with pytest.raises(DataUnusable, match="was written by version 1; this is version 2"):
        Database(tmp_path / "words.db", SCHEMA, "version 2")


def test_what_is_replaced_takes_no_room(tmp_path):
    database = opened(tmp_path / "words.db")
    word = "x" * 100_000
    for _ in range(200):
        database.write(lambda db: db.execute("INSERT OR REPLACE INTO words VALUES (1, ?)", (word,)))

    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert size < 6_000_000  # the log moves into the file before it reaches 5 MB


def test_when_the_disk_is_full_nothing_is_answered_that_is_not_kept(tmp_path, caplog):
    losses = []
    database = Database(tmp_path / "words.db", SCHEMA, "test", lambda: losses.append(1))
    database.write(insert(1))
    (pages,) = database._writer.execute("PRAGMA max_page_count = 4").fetchone()
    assert pages <= 5

    for number in range(2, 20):
        with pytest.raises(DataNotStored, match="cannot be written"):
            database.write(insert(number, "x" * 100_000))
    assert numbers(database) == [1]
    database._writer.execute("PRAGMA max_page_count = 1000000")
    database.write(insert(20))
    database.close()

    assert len(losses) == 18
    assert [record.message.partition("words.db")[2][:16] for record in caplog.records] == [
        " cannot be writt",
        " can be written ",
    ]
    assert numbers(opened(tmp_path / "words.db")) == [1, 20]


def test_a_loss_that_nobody_repairs_stops_all_changes_until_somebody_does(tmp_path):
    database = opened(tmp_path / "words.db")
    database._writer.execute("PRAGMA max_page_count = 4")
    with pytest.raises(DataNotStored):
        database.write(insert(1, "x" * 100_000))
    database._writer.execute("PRAGMA max_page_count = 1000000")

    with pytest.raises(DataNotStored):
        database.write(insert(2))
    database.resume()
    database.write(insert(3))

    assert numbers(database) == [3]
    database.close()


@pytest.fixture
def pair(tmp_path):
    """A function that makes a folder with two databases, in which something is stored."""

    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        databases = [opened(folder / file) for file in ("first.db", "second.db")]
        for database in databases:
            database.write(insert(1))
        return folder, databases

    return make


@pytest.mark.parametrize("do", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_database_that_is_gone_is_missed(pair, do):
    folder, databases = pair("data")
    for database in databases:
        database.close()
    do(folder / "second.db")

    opened(folder / "first.db").close()
    with pytest.raises(DataUnusable, match=r"second\.db is missing or empty"):
        opened(folder / "second.db")


@pytest.mark.parametrize("mark", ["second.db-mark", "no mark"])
def test_a_database_of_another_folder_is_refused(pair, mark):
    folder, _ = pair("data")
    other, _ = pair("other")
    for name in ("second.db", "second.db-wal", mark):
        if (other / name).exists():
            shutil.copy(other / name, folder / name)
    (folder / "second.db-shm").unlink()

    with pytest.raises(DataUnusable, match=r"second\.db.* are of different data folders"):
        opened(folder / "second.db")


@pytest.mark.parametrize("do", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_log_that_is_gone_is_missed(killed, do):
    do(killed.with_name("words.db-wal"))

    with pytest.raises(DataUnusable, match=r"words\.db"):
        opened(killed)


def test_a_log_without_its_database_is_an_error(killed):
    killed.unlink()
    killed.with_name("words.db-mark").unlink()

    with pytest.raises(DataUnusable, match=r"words\.db is missing or empty"):
        opened(killed)


def test_a_mark_that_is_gone_costs_nothing(killed):
    killed.with_name("words.db-mark").write_text("")

    assert numbers(opened(killed)) == list(range(50))
    assert killed.with_name("words.db-mark").read_text()


def test_a_database_without_an_id_gets_that_of_its_folder(pair, tmp_path):
    folder, databases = pair("data")
    databases[0].close()
    databases[1].write(lambda db: db.execute("DROP TABLE mark"))
    databases[1]._log_is_counted = True
    databases[1].close()
    (folder / "second.db-mark").unlink()

    for name in ("second.db", "first.db"):
        database = opened(folder / name)
        assert numbers(database) == [1]
        database.close()


def test_a_closed_database_refuses_changes(tmp_path):
    database = opened(tmp_path / "words.db")
    queued = database.submit(insert(1))
    database.close()

    assert queued() == 1
    with pytest.raises(RuntimeError, match="is closed"):
        database.write(insert(2))


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

    with pytest.raises(DataUnusable, match="is not a file of this program"):
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
