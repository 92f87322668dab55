"""The database: answered changes are on disk, and damage is noticed."""

import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

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


def fill_disk(database):
    """Let SQLite refuse to grow the file."""
    database._writer.execute("PRAGMA max_page_count = 1")


def free_disk(database):
    database._writer.execute("PRAGMA max_page_count = 1000000")


def test_when_the_disk_is_full_nothing_is_answered_that_is_not_kept(tmp_path, caplog):
    database = opened(tmp_path / "words.db")
    database.write(insert(1))
    fill_disk(database)

    for number in range(2, 20):
        with pytest.raises(DataNotStored, match="cannot be written"):
            database.write(insert(number, "x" * 100_000))
    assert numbers(database) == [1]
    free_disk(database)
    database.write(insert(20))
    database.close()

    assert [record.message.partition("words.db")[2][:16] for record in caplog.records] == [
        " cannot be writt",
        " can be written ",
    ]
    assert numbers(opened(tmp_path / "words.db")) == [1, 20]


def test_a_disk_that_is_nearly_full_does_not_fill_the_log(tmp_path, caplog):
    database = opened(tmp_path / "words.db")
    fill_disk(database)
    for number in range(50):
        with pytest.raises(DataNotStored):
            database.write(insert(number, "x" * 100_000))
        database.write(insert(number))

    assert len(caplog.records) == 2


def test_changes_in_memory_are_taken_back_the_last_one_first(tmp_path):
    database = opened(tmp_path / "words.db")
    fill_disk(database)
    taken_back = []

    def change(number, word="word"):
        def insert_and_note(db):
            database.if_undone(lambda: taken_back.append(number))
            insert(number, word)(db)

        return insert_and_note

    database.write(change(1))
    with pytest.raises(DataNotStored):
        database.write(lambda db: [change(n, "x" * 10_000)(db) for n in range(2, 100)])
    assert taken_back[-1] == 2
    assert taken_back == sorted(taken_back, reverse=True)
    taken_back.clear()
    with pytest.raises(sqlite3.IntegrityError):
        database.write(lambda db: [change(n)(db) for n in (5, 6, 5)])

    assert taken_back == [5, 6, 5]
    assert numbers(database) == [1]


@pytest.mark.parametrize("name", ["words.db", "words.db-wal"])
def test_a_file_that_is_removed_while_it_is_in_use_takes_no_changes(tmp_path, name):
    database = opened(tmp_path / "words.db")
    database.write(insert(1))
    (tmp_path / name).rename(tmp_path / "elsewhere")

    with pytest.raises(DataNotStored, match=f"{name} is gone"):
        database.write(insert(2))
    (tmp_path / name).write_bytes((tmp_path / "elsewhere").read_bytes())
    with pytest.raises(DataNotStored, match=f"{name} was replaced"):
        database.write(insert(3))
    assert numbers(database) == [1]
    (tmp_path / "elsewhere").rename(tmp_path / name)
    database.write(insert(4))

    assert numbers(database) == [1, 4]


def test_a_database_that_another_program_has_locked_takes_changes_later(tmp_path):
    database = opened(tmp_path / "words.db")
    database._writer.execute("PRAGMA busy_timeout = 10")
    with sqlite3.connect(tmp_path / "words.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DataNotStored, match="is locked"):
            database.write(insert(1))
        assert numbers(database) == []
        other.execute("COMMIT")
    other.close()
    database.write(insert(2))

    assert numbers(database) == [2]


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


def test_a_database_that_is_gone_with_its_mark_is_missed(pair):
    folder, databases = pair("data")
    for database in databases:
        database.close()
    for file in folder.glob("first.db*"):
        file.unlink()

    with pytest.raises(DataUnusable, match=r"first\.db is missing or empty"):
        opened(folder / "first.db")
    with closing(sqlite3.connect(folder / "first.db")) as empty:
        empty.execute("CREATE TABLE written_by (name TEXT NOT NULL)")
        empty.execute("INSERT INTO written_by VALUES ('test')")
        empty.commit()
    with pytest.raises(DataUnusable, match=r"first\.db was replaced by another file"):
        opened(folder / "first.db")


@pytest.mark.parametrize("name", ["first.db", "second.db"])
@pytest.mark.parametrize("has_mark", [True, False])
def test_a_database_of_another_time_is_refused(pair, name, has_mark):
    folder, databases = pair("data")
    for database in databases:
        database.close()
    copy = shutil.copytree(folder, folder.with_name("copy"))
    for path in (folder / "first.db", folder / "second.db"):
        opened(path).close()
    (folder / f"{name}-mark").unlink()
    shutil.copy(copy / name, folder)
    if has_mark:
        shutil.copy(copy / f"{name}-mark", folder)

    with pytest.raises(DataUnusable, match=f"{name} lacks the last changes"):
        opened(folder / name)


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


def test_a_log_that_is_gone_is_missed_after_sqlite_began_it_again(tmp_path):
    database = opened(tmp_path / "words.db")
    for number in range(12):
        database.write(insert(number, "x" * 1_000_000))  # a quarter of the log's usual length
    folder = tmp_path / "killed"
    folder.mkdir()
    for file in tmp_path.glob("words.db*"):
        shutil.copy(file, folder)
    database.close()
    (folder / "words.db-wal").unlink()

    with pytest.raises(DataUnusable, match=r"words\.db lacks the last changes"):
        opened(folder / "words.db")


def test_a_log_without_its_database_is_an_error(killed):
    killed.unlink()
    killed.with_name("words.db-mark").unlink()

    with pytest.raises(DataUnusable, match=r"words\.db is missing or empty"):
        opened(killed)


def test_a_mark_that_is_gone_costs_nothing(killed):
    killed.with_name("words.db-mark").write_text("")

    assert numbers(opened(killed)) == list(range(50))
    assert killed.with_name("words.db-mark").read_text()


def test_databases_of_a_former_version_get_one_id(pair):
    folder, databases = pair("data")
    for database in databases:
        database.close()
    for path in folder.glob("*.db"):
        with closing(sqlite3.connect(path)) as former:
            former.execute("DROP TABLE mark")
            former.commit()
        Path(f"{path}-mark").unlink()

    for _ in range(2):
        for name in ("first.db", "second.db"):
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
