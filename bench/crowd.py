"""Measure verifications while hundreds of slow and thousands of idle clients hold connections.

    python -m bench.crowd

A person is registered, and 32 clients verify a photograph: first alone, then beside 600 slow
clients and 2,000 idle ones on all three ports. A third of the slow ones send a header bit by bit, a
third a body, and a third read no answer. Whenever the service closes a connection, its client opens
another. It is measured twice: with the usual limit of open files, which the service may raise, and
with one of 1,024 that it cannot raise.
"""

import argparse
import random
import selectors
import socket
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

import requests

from bench.running import RunningService, memory
from bench.tables import print_table
from control import control
from localaws.connections import raise_file_limit
from sample_photographs import photograph, resized

VERIFYING, SLOW, IDLE = 32, 600, 2000
FEW_FILES = 1024
JPEG = {"Content-Type": "image/jpeg"}
DRIBBLE = 1.0
"""Seconds between two bytes of a slow client."""


class Crowd:
    """Slow and idle clients of a service, all in one thread; a context manager.

    Args:
        service: the service.
    """

    def __init__(self, service: RunningService) -> None:
        self._addresses = [
            (where.hostname or "", where.port or 0)
            for where in map(urlsplit, (service.api, service.aws, service.pages))
        ]
        self._selector = selectors.DefaultSelector()
        self._kinds: dict[Any, int] = {}
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Crowd":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        for number in range(SLOW + IDLE):
            self._connect(number)
        self._ready.set()
        next_byte = time.monotonic() + DRIBBLE
        while not self._stop.is_set():
            # What becomes readable was closed, or refused.
            closed: list[Any] = [key.fileobj for key, _ in self._selector.select(0.1)]
            if time.monotonic() >= next_byte:
                next_byte = time.monotonic() + DRIBBLE
                closed += [c for c, n in self._kinds.items() if n < SLOW and not _dribble(c)]
            for client in dict.fromkeys(closed):
                number = self._kinds.pop(client)
                if not _reads_nothing(number):
                    self._selector.unregister(client)
                client.close()
                self._connect(number)
        for client in self._kinds:
            client.close()

    def _connect(self, number: int) -> None:
        """Open a connection; the first ``SLOW`` numbers belong to slow clients."""
        client = socket.socket()
        client.settimeout(10)
        with suppress(OSError):  # the service may be at its limit for a moment
            client.connect(self._addresses[number % len(self._addresses)])
            if number < SLOW:
                client.sendall(_begin(number))
        client.setblocking(False)
        self._kinds[client] = number
        if not _reads_nothing(number):
            self._selector.register(client, selectors.EVENT_READ)


def _reads_nothing(number: int) -> bool:
    return number < SLOW and number // 3 % 3 == 2


def _begin(number: int) -> bytes:
    """Return the first bytes of a slow client's request."""
    match number // 3 % 3:
        case 0:
            return b"POST /verify HTTP/1.1\r\nX: "
        case 1:
            return b"POST /verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        case _:
            return b"GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _dribble(client: socket.socket) -> bool:
    """Send a byte; return False if the connection is closed."""
    try:
        client.send(b"x")
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def verify(service: RunningService, image: bytes, count: int) -> tuple[list[float], int]:
    """Verify a photograph with all clients.

    Returns:
        Milliseconds of each verification, and the number of those that failed.
    """

    def once(_: int) -> float | None:
        time.sleep(random.uniform(0, 0.01))  # so that not all begin at once
        begun = time.perf_counter()
        try:
            answer = requests.post(f"{service.api}/verify", data=image, headers=JPEG, timeout=60)
            is_right = answer.json()["person"]["personId"] == "obama"
        except (requests.RequestException, KeyError, TypeError):
            is_right = False
        return (time.perf_counter() - begun) * 1000 if is_right else None

    with ThreadPoolExecutor(VERIFYING) as clients:
        found = list(clients.map(once, range(count)))
    times = [milliseconds for milliseconds in found if milliseconds is not None]
    return times, len(found) - len(times)


def measure(files: int | None, count: int) -> list[list[str]]:
    """Return rows of the table: alone, and in the crowd.

    Args:
        files: the most files that the service may have open; None for the usual limit.
        count: verifications in each row.
    """
    image = resized(photograph("obama2.jpg"), 600)
    rows: list[list[str]] = []
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        log = opened.enter_context((folder / "log").open("w"))
        with RunningService(folder / "data", log, files) as service:
            url = f"{service.api}/register?name=Obama&personId=obama"
            known = resized(photograph("obama.jpg"), 600)
            requests.post(url, data=known, headers=JPEG, timeout=60).raise_for_status()
            control(service.session, service.aws, "quiet")
            alone, failed = verify(service, image, count)
            rows.append(_row(f"alone{_limit(files)}", alone, alone, failed, service))
            with Crowd(service):
                crowded, failed = verify(service, image, count)
                rows.append(_row(f"in the crowd{_limit(files)}", crowded, alone, failed, service))
    return rows


def _limit(files: int | None) -> str:
    return "" if files is None else f", {files:,} files"


def _row(
    name: str, times: list[float], alone: list[float], failed: int, service: RunningService
) -> list[str]:
    slowest, slowest_alone = quantiles(times, n=20)[-1], quantiles(alone, n=20)[-1]
    files = len(list(Path(f"/proc/{service.pid}/fd").iterdir()))
    return [
        name,
        f"{median(times):.0f}",
        f"{slowest:.0f}",
        f"{median(times) / median(alone):.2f}",
        f"{slowest / slowest_alone:.2f}",
        str(failed),
        f"{memory(service.pid):.0f}",
        str(files),
    ]


def main() -> int:
    """Measure and print the table; return 1 if a verification failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="verifications (default: 2000)")
    options = parser.parse_args()
    raise_file_limit()
    head = ["", "median, ms", "95th percentile, ms", "median, ratio", "95th percentile, ratio"]
    rows = [[*head, "failed", "memory, MB", "open files"]]
    for files in (None, FEW_FILES):
        rows += measure(files, options.count)
    print_table(rows, "crowd")
    return int(any(row[5] != "0" for row in rows[1:]))


if __name__ == "__main__":
    sys.exit(main())
