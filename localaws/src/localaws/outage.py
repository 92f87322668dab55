"""Times in which a disk takes no data, and how they are reported."""

import errno
import logging
import tempfile
import time
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})
"""The errors of a file that its disk does not take."""

_TRIAL_BYTES: Final = 64 * 1024
_QUIET: Final = 60.0
"""Seconds after an outage in which the next one is not reported: a disk that is nearly full takes
small changes and refuses large ones, in turns."""


class Outage:
    """Reports the begin and the end of an outage, each with one line in the log.

    Args:
        name: of the file or folder that cannot be written.
    """

    def __init__(self, name: object) -> None:
        self.is_on = False
        self._name = name
        self._is_reported = False
        self._quiet_until = 0.0

    def begin(self, reason: object) -> None:
        """Note that something was refused."""
        if not self.is_on and time.monotonic() >= self._quiet_until:
            logger.error("%s cannot be written (%s): changes are refused", self._name, reason)
            self._is_reported = True
        self.is_on = True

    def end(self) -> None:
        """Note that something was stored."""
        self.is_on = False
        if self._is_reported:
            logger.error("%s can be written again", self._name)
            self._is_reported = False
            self._quiet_until = time.monotonic() + _QUIET


def try_to_write(folder: Path, size: int = 0) -> OSError | None:
    """Write some bytes into a folder, in a file without a name, and return the error if any.

    Args:
        folder: the folder.
        size: in bytes; somewhat more is written.
    """
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            for length in (_TRIAL_BYTES, size):
                content = memoryview(bytes(length))
                while content:
                    content = content[file.write(content) :]
    except OSError as error:
        return error
    return None
