"""Run servers in the foreground of a terminal until a signal ends them."""

import signal
import socket
from collections.abc import Callable

from localaws.connections import raise_file_limit
from localaws.memory import keep_few_arenas

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def until_interrupted(run: Callable[[], int]) -> int:
    """Call ``run`` and return its exit code; return 0 when one of ``SIGNALS`` ends it."""
    raise_file_limit()
    keep_few_arenas()
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)  # it raises KeyboardInterrupt
    try:
        return run()
    except KeyboardInterrupt:
        return 0


def be_ready(*addresses: str) -> None:
    """Print the line ``ready`` with the addresses, and wait for a signal."""
    print("ready", *addresses, flush=True)
    try:
        _wait_for_a_signal()
    finally:
        print("stopping ...", flush=True)


def _wait_for_a_signal() -> None:
    """Wait until a signal handler raises an exception.

    The kernel may deliver a signal to any thread, but Python runs handlers in the main thread only,
    and a handler does not wake the main thread while it waits for a lock. So the main thread waits
    for the byte that Python writes to a socket when a signal arrives.
    """
    woken, waking = socket.socketpair()
    with woken, waking:
        waking.setblocking(False)
        signal.set_wakeup_fd(waking.fileno())
        try:
            while True:
                woken.recv(1)
        finally:
            signal.set_wakeup_fd(-1)
