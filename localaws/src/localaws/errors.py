"""The errors of data on disk. Their messages are for the person who runs the server."""

from pathlib import Path
from typing import Final

RESTORE: Final = "Restore the whole folder from a backup, or delete its data (--fresh)"
"""What to do about a folder that lacks data."""


class DataUnusable(RuntimeError):
    """The data on disk cannot be used. The message tells a person why."""


class DataInUse(DataUnusable):
    """Another process uses the data."""


class DataNotStored(RuntimeError):
    """A change could not be stored, so it was not made. Later ones may succeed."""


def damaged(path: Path | None, reason: str) -> DataUnusable:
    """Return the error for a file whose content is not the content that was written."""
    return DataUnusable(f"{path} is damaged ({reason}). {RESTORE}")
