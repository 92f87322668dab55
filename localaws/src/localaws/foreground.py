"""Run servers in the foreground of a terminal, until a signal ends them."""

import signal
import socket
from collections.abc import Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def until_interrupted(run: Callable[[], int]) -> int:
    """Call ``run`` and return its exit code; return 0 when one of ``SIGNALS`` ends it."""
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
    """Wait until a signal handler raises.

    The kernel may give a signal to any thread. Python runs the handler in the main thread, which
    does not wake up for it from waiting for a lock. So this waits for the byte that Python writes.
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
