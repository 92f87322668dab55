"""Memory of the process, where the C library keeps more than it needs (glibc)."""

import ctypes
import time
from typing import Any, Final

_library: Final[Any] = ctypes.CDLL(None)
_ARENA_MAX: Final = -8
"""glibc's ``M_ARENA_MAX``, from malloc.h."""
_SECONDS: Final = 10.0
_given_back = 0.0


def keep_few_arenas() -> None:
    """Let all threads share two arenas.

    glibc gives threads up to eight arenas for each processor, and each keeps what it has ever
    needed. A server with a thread for each request grows by hundreds of megabytes that way.
    """
    if hasattr(_library, "mallopt"):
        _library.mallopt(_ARENA_MAX, 2)


def give_back_sometimes() -> None:
    """Give free memory back to the system if that was last done some seconds ago."""
    global _given_back  # noqa: PLW0603 - as global as the memory
    if time.monotonic() - _given_back >= _SECONDS:
        _given_back = time.monotonic()
        give_back()


def give_back() -> None:
    """Give free memory back to the system."""
    if hasattr(_library, "malloc_trim"):
        _library.malloc_trim(0)
