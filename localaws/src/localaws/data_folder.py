"""The data folder: private to its owner, used by one process at a time, with known files only."""

import fcntl
import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from localaws import credentials, marks
from localaws.credentials import AccessKey
from localaws.errors import DataInUse, DataUnusable

LOCK: Final = "lock"
DATABASES: Final[tuple[str, ...]] = ("rekognition.db", "services.db")

_BESIDE_A_DATABASE: Final = ("-wal", "-shm", "-journal", marks.SUFFIX, f"{marks.SUFFIX}.new")
_OURS: Final[frozenset[str]] = frozenset(
    {
        LOCK,
        credentials.FILE_NAME,
        f"{credentials.FILE_NAME}.new",
        *DATABASES,
        *(name + suffix for name in DATABASES for suffix in _BESIDE_A_DATABASE),
    }
)
# Folders that hold nothing else are as good as empty. lost+found marks the root of a file system.
_OF_NOBODY: Final = frozenset({".gitignore", ".gitkeep", ".DS_Store", "lost+found"})


class DataFolder:
    """A folder for data that only its owner can read, locked against other processes.

    The folder is made if it is missing. A folder with files of other programs is left as it is.

    Args:
        path: the folder.
        fresh: delete the data in it, and nothing else.

    Raises:
        DataInUse: another process uses the folder.
        DataUnusable: the folder cannot be made, or holds files of other programs.
    """

    def __init__(self, path: str | os.PathLike[str], *, fresh: bool = False) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_ownership()
            self.path.chmod(0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            self._lock = os.open(self.path / LOCK, flags, 0o600)
        except OSError as error:
            raise DataUnusable(f"cannot keep data in {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise DataInUse(
                f"the data in {self.path} is in use by another process: stop it, or choose another"
                " folder (--data)"
            ) from error
        if fresh:
            self._delete_data()

    def _check_ownership(self) -> None:
        """Check that the folder is empty or ours.

        Raises:
            DataUnusable: somebody else has made it or its files.
        """
        if self.path.stat().st_uid != os.geteuid():
            raise DataUnusable(f"{self.path} belongs to another user: choose another folder")
        entries = {entry.name: entry for entry in self.path.iterdir()}
        links = [name for name in sorted(_OURS & entries.keys()) if not _is_file(entries[name])]
        if links:
            raise DataUnusable(f"{self.path / links[0]} is not a file of this program")
        key_file = entries.get(credentials.FILE_NAME)
        if key_file is not None and credentials.is_foreign(key_file):
            raise DataUnusable(
                f"{key_file} holds another access key: choose another folder (--data)"
            )
        others = sorted(entries.keys() - _OURS - _OF_NOBODY)
        databases = [entries[name] for name in DATABASES if name in entries]
        unmarked = [path.name for path in databases if not _is_our_database(path)]
        is_ours = LOCK in entries and (not others or bool(databases and not unmarked))
        foreign = [] if is_ours else unmarked + others
        if foreign:
            raise DataUnusable(
                f"{self.path} holds files of other programs, such as {foreign[0]}: choose an empty"
                " folder (--data)"
            )

    def _delete_data(self) -> None:
        for name in sorted(_OURS - {LOCK}):
            with suppress(FileNotFoundError):
                (self.path / name).unlink()

    def access_key(self) -> AccessKey:
        """Return the access key of the folder, which is made if it is missing.

        Raises:
            DataUnusable: its file cannot be read or written.
        """
        try:
            return AccessKey.kept_in(self.path)
        except OSError as error:
            raise DataUnusable(f"cannot keep data in {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Release the folder for other processes."""
        os.close(self._lock)


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _is_our_database(path: Path) -> bool:
    """Return whether a file is a database of ours, also if it is empty or damaged since."""
    if path.stat().st_size == 0 or Path(f"{path}{marks.SUFFIX}").exists():
        return True
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
            tables = "SELECT count(*) FROM sqlite_master WHERE name = 'written_by'"
            return bool(database.execute(tables).fetchone()[0])
    except sqlite3.DatabaseError:
        return False
