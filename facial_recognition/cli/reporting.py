"""How long commands report: their progress, and the photographs that failed."""

import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct


class Progress(Struct, frozen=True):
    """The functions that show a command's progress."""

    start: Callable[[str, int], None]
    """Called with the name of each phase, and its number of photographs."""
    advance: Callable[[int], None]
    """Called with the number of photographs done since the last call."""


class Failure(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A photograph that failed, and why."""

    photograph: str
    """Path of a file, or key in S3."""
    code: str
    detail: str
    person_id: str | None = None
    """The person to whom the face is registered, if it is another one."""


def readable(path: Path) -> str:
    """Return a path that can be printed and sent: file names are bytes of any kind."""
    return os.fsencode(path).decode(errors="replace")
