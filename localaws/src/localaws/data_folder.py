"""The data folder: private to its owner, used by one process at a time, with known files only."""

import fcntl
import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from localaws import credentials, marks
from localaws.credentials import AccessKey
from localaws.errors import RESTORE, DataInUse, DataUnusable

LOCK: Final = "lock"
REKOGNITION: Final = "rekognition.db"
SERVICES: Final = "services.db"

_DATABASES: Final = (REKOGNITION, SERVICES)
_BESIDE_A_DATABASE: Final = ("", "-wal", "-shm", "-journal", marks.SUFFIX, f"{marks.SUFFIX}.new")
_OURS: Final = frozenset(
    {
        LOCK,
        credentials.FILE_NAME,
        f"{credentials.FILE_NAME}.new",
        *(name + suffix for name in _DATABASES for suffix in _BESIDE_A_DATABASE),
    }
)
# Folders that hold nothing else are as good as empty. lost+found marks the root of a file system.
_OF_NOBODY: Final = frozenset(
    {".gitignore", ".gitkeep", ".keep", ".DS_Store", "Thumbs.db", "desktop.ini", "lost+found"}
)
_SHARED: Final = ("/", "/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - they are refused
# The content of the lock says whose folder it is. In former versions it was empty.
_IN_USE: Final = b"localaws keeps its data in this folder.\n"
_DELETING: Final = b"localaws deletes its data in this folder.\n"


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
            if not self.path.is_symlink():
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_ownership()
            if self.path.stat().st_mode & 0o077:
                self.path.chmod(0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            self._lock = os.open(self.path / LOCK, flags, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise DataInUse(
                f"the data in {self.path} is in use by another process: stop it, or choose another"
                " folder (--data)"
            ) from error
        try:
            self._begin(fresh=fresh)
        except OSError as error:
            os.close(self._lock)
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> DataUnusable:
        return DataUnusable(f"cannot keep data in {self.path}: {error.strerror} (--data)")

    def _check_ownership(self) -> None:
        """Check that the folder is empty or ours.

        Raises:
            DataUnusable: it is not, or other users could have written into it.
        """
        not_for_data = (*_SHARED, os.path.expanduser("~"))
        if os.path.realpath(self.path) in map(os.path.realpath, not_for_data):
            raise DataUnusable(f"{self.path} is not for data alone: choose another folder (--data)")
        if self.path.stat().st_uid != os.geteuid():
            raise DataUnusable(
                f"{self.path} belongs to another user: choose another folder (--data)"
            )
        entries = {entry.name: entry for entry in self.path.iterdir()}
        for name in sorted(_OURS & entries.keys()):
            if not _is_own_file(entries[name]):
                raise DataUnusable(
                    f"{entries[name]} is a link, or belongs to another user: remove it, or choose"
                    " another folder (--data)"
                )
        key_file = entries.get(credentials.FILE_NAME)
        if key_file is not None and credentials.is_foreign(key_file):
            raise DataUnusable(
                f"{key_file} holds another access key: choose another folder (--data)"
            )
        databases = [entries[name] for name in _DATABASES if name in entries]
        foreign = [path.name for path in databases if _is_foreign_database(path)]
        if not foreign and not _is_ours(self.path):
            foreign = [e.name for e in entries.values() if not _is_nobodys(e)]
            if LOCK not in entries:
                foreign += [path.name for path in databases]
        if foreign:
            raise DataUnusable(
                f"{self.path} holds files of other programs, such as {min(foreign)}: choose an"
                " empty folder (--data)"
            )

    def _begin(self, *, fresh: bool) -> None:
        """Delete the data if that is wanted, or an earlier process was killed while it did."""
        said = os.pread(self._lock, len(_DELETING), 0)
        if fresh or said == _DELETING:
            with suppress(OSError):  # a full disk gets room by this
                self._say(_DELETING)
            for name in sorted(_OURS - {LOCK}):
                with suppress(FileNotFoundError):
                    (self.path / name).unlink()
        if said != _IN_USE:
            self._say(_IN_USE)

    def _say(self, content: bytes) -> None:
        """Write the content of the lock."""
        os.pwrite(self._lock, content, 0)
        os.ftruncate(self._lock, len(content))
        os.fsync(self._lock)

    def access_key(self) -> AccessKey:
        """Return the access key of the folder, which is made if it is missing.

        Raises:
            DataUnusable: its file cannot be read or written.
        """
        try:
            return AccessKey.kept_in(self.path)
        except OSError as error:
            raise self._unusable(error) from error

    def check_partners(self) -> None:
        """Check that no database of a former version, which had no mark, lacks the other one.

        Raises:
            DataUnusable: one is missing or empty.
        """
        for name, partner in (_DATABASES, reversed(_DATABASES)):
            tables, missed = _tables(self.path / name), self.path / partner
            is_there = missed.exists() and missed.stat().st_size > 0
            if "written_by" in tables and marks.TABLE not in tables and not is_there:
                raise DataUnusable(
                    f"{missed} is missing or empty, but {name} is there. If only Rekognition has"
                    f" used the folder, start it once with --only rekognition. Else: {RESTORE}"
                )

    def close(self) -> None:
        """Release the folder for other processes."""
        os.close(self._lock)


def _is_own_file(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def _is_ours(folder: Path) -> bool:
    """Return whether a folder holds our data, also where files are missing, empty or damaged."""
    with suppress(OSError), (folder / LOCK).open("rb") as lock:
        if lock.read(len(_DELETING)) in (_IN_USE, _DELETING):
            return True
    databases = [folder / name for name in _DATABASES]
    return any(
        Path(f"{path}{marks.SUFFIX}").is_file() or "written_by" in _tables(path)
        for path in databases
    )


def _is_nobodys(entry: Path) -> bool:
    """Return whether an entry does not make a folder that of another program.

    Data folders may lie in each other. The databases are looked at by ``_is_foreign_database``.
    """
    if entry.name == LOCK:
        return entry.stat().st_size == 0
    return entry.name in _OURS | _OF_NOBODY or (entry.is_dir() and _is_ours(entry))


def _is_foreign_database(path: Path) -> bool:
    tables = _tables(path)
    return bool(tables) and "written_by" not in tables


def _tables(path: Path) -> frozenset[str]:
    """Return the tables in a database file, as far as they can be read without changing it."""
    address = f"file:{quote(str(path))}?mode=ro&immutable=1"
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True)) as database:
        return frozenset(name for (name,) in database.execute("SELECT name FROM sqlite_master"))
    return frozenset()
