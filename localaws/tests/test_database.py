"""The database: answered changes are on disk, and damage is noticed."""

import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from localaws.database import Database, DataFolder, DataUnusable

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


def test_when_the_disk_is_full_nothing_is_answered_that_is_not_kept(tmp_path):
    database = opened(tmp_path / "words.db")
    database.write(insert(1))
    database._writer.execute("PRAGMA max_page_count = 3")

    with pytest.raises(sqlite3.Error):
        database.write(insert(2, "x" * 100_000))
    database.close()

    assert numbers(opened(tmp_path / "words.db")) == [1]


def test_a_closed_database_refuses_changes(tmp_path):
    database = opened(tmp_path / "words.db")
    queued = database.submit(insert(1))
    database.close()

    assert queued() == 1
    with pytest.raises(RuntimeError, match="is closed"):
        database.write(insert(2))


def test_a_folder_is_its_owners_and_one_process_has_it(tmp_path):
    folder = DataFolder(tmp_path / "new" / "data")
    Database(folder.path / "words.db", SCHEMA, "test").write(insert(1))

    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.path.iterdir()} == {0o600}
    with pytest.raises(DataUnusable, match="is in use by another process"):
        DataFolder(folder.path)
    folder.close()
    DataFolder(folder.path).close()


def test_a_fresh_folder_forgets_only_what_was_kept(tmp_path):
    folder = DataFolder(tmp_path)
    Database(tmp_path / "words.db", SCHEMA, "test").close()
    (tmp_path / "notes.txt").write_text("mine")
    folder.close()

    DataFolder(tmp_path, fresh=True).close()

    assert sorted(file.name for file in tmp_path.iterdir()) == ["lock", "notes.txt"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(DataUnusable, match="cannot keep data in"):
        DataFolder(tmp_path / "file" / "data")
