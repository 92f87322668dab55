"""Connections to a port: how many there may be, and how long each may take.

Connections wait in one thread, all together, until the header of a request has arrived. Only then a
connection gets a thread, for one request. So idle and slow clients cost little, and when there are
too many, those that have been without a request for the longest are closed.
"""

import errno
import io
import re
import resource
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from localaws import memory

IDLE_SECONDS: Final = 30.0
"""Seconds that a new connection may be silent."""
HEADER_SECONDS: Final = 10.0
"""Seconds from the first byte of a request to the end of its header."""
PATIENCE: Final = 15.0
"""Seconds that a body or an answer may take, in addition to its bytes divided by ``SLOWEST``."""
SLOWEST: Final = 16 * 1024
"""Bytes per second that a client has to send or to read."""
MOST_READING: Final = 256
"""Bodies that are received at the same time. If there are more, the oldest is given up."""
MOST_BODY_BYTES: Final = 512 * 1024 * 1024
"""Bytes of all bodies that are received or in use at the same time."""
MOST_CONNECTIONS: Final = 4096

_MOST_HEADER_BYTES: Final = 64 * 1024
_PIECE: Final = 64 * 1024
_MOST_DISCARDED: Final = 256 * 1024 * 1024
_DISCARD_SECONDS: Final = 5.0
_MOST_FILES: Final = 65_536
_OTHER_FILES: Final = 256
_PORTS: Final = 4  # that one process may have open
_TICK: Final = 1.0
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_END_OF_HEADER: Final = re.compile(rb"\r?\n\r?\n")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")


def raise_file_limit() -> None:
    """Allow this process as many open files as the system lets it have, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """Return how many connections a port may have within this process's limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(16, min(MOST_CONNECTIONS, (soft - _OTHER_FILES) // _PORTS))


class Connection:
    """A client's connection, with the header of its request once that is there.

    It is what a request handler gets as its request, and what it writes the answer to.

    Args:
        client: the open socket.
        address: of the client.
        patience: seconds that a body or an answer may take, besides the time for its bytes.
    """

    closed = False

    def __init__(self, client: socket.socket, address: Any, patience: float) -> None:
        self.socket = client
        self.address = address
        self.header = b""
        """The request line and the header lines."""
        self.is_header_whole = False
        """Whether the header has come to its end; it has not if it is too long."""
        self.deadline = time.monotonic() + IDLE_SECONDS
        """When the header must be there."""
        self.body: Body | None = None
        """The body of the request; None before its header was read."""
        self.patience = patience
        self._received = bytearray()
        client.setblocking(False)

    def fileno(self) -> int:
        """Return the socket's file descriptor."""
        return self.socket.fileno()

    def has_header(self) -> bool:
        """Receive what is there; return whether the header is complete, or too long.

        Raises:
            OSError: the connection has ended.
        """
        piece = self.socket.recv(_PIECE)
        if not piece:
            raise ConnectionResetError
        if not self._received:
            self.deadline = min(self.deadline, time.monotonic() + HEADER_SECONDS)
        begin = max(0, len(self._received) - 3)  # the end may be in two pieces
        self._received += piece
        end = _END_OF_HEADER.search(self._received, begin)
        if end is None and len(self._received) < _MOST_HEADER_BYTES:
            return False
        size = end.end() if end else len(self._received)
        self.is_header_whole = end is not None
        self.header = bytes(self._received[:size])
        del self._received[:size]
        return True

    def receive(self, most: int, pace: "_Pace") -> bytes:
        """Return up to ``most`` bytes, at least one.

        Raises:
            TimeoutError: the client is too slow.
            OSError: the connection has ended.
        """
        piece = bytes(self._received[:most])
        if piece:
            del self._received[:most]
        else:
            self.socket.settimeout(pace.seconds_left())
            piece = self.socket.recv(min(most, _PIECE))
        if not piece:
            raise ConnectionResetError("the body was cut off")
        pace.count += len(piece)
        return piece

    def receive_line(self, most: int, pace: "_Pace") -> bytes:
        """Return bytes up to the end of a line, or ``most`` bytes without one."""
        line = bytearray()
        while len(line) < most and not line.endswith(b"\n"):
            line += self.receive(1, pace)
        return bytes(line)

    def write(self, data: bytes) -> int:
        """Send all of the data.

        Raises:
            TimeoutError: the client reads too slowly.
            OSError: the connection has ended.
        """
        pace, left = _Pace(self.patience), memoryview(data)
        while left:
            self.socket.settimeout(pace.seconds_left())
            sent = self.socket.send(left[: 16 * _PIECE])
            pace.count += sent
            left = left[sent:]
        return len(data)

    def flush(self) -> None:
        """Do nothing: every write is sent at once."""

    def end(self) -> None:
        """Close the connection for both sides, which ends every wait for it."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; if more may be coming, let the client read the answer first."""
        if self.body is not None:
            self.body.release()
        if self.body is None or not self.body.is_whole:
            with suppress(OSError):
                self._discard()
        self.socket.close()

    def _discard(self) -> None:
        """Read and forget what the client is sending. Without this, it would not see the answer."""
        self.socket.shutdown(socket.SHUT_WR)
        until, size = time.monotonic() + _DISCARD_SECONDS, 0
        while size < _MOST_DISCARDED and (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            piece = self.socket.recv(_PIECE)
            if not piece:
                return
            size += len(piece)


class NoRoom(OSError):
    """The bodies that have come and are still in use take too much memory."""


class _Room:
    """The memory for the bodies of all requests in the process."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Reserve room for bytes that have come.

        Raises:
            NoRoom: there is none.
        """
        with self._lock:
            if count > self._free:
                raise NoRoom
            self._free -= count

    def give_back(self, count: int) -> None:
        with self._lock:
            self._free += count


_room: Final = _Room(MOST_BODY_BYTES)


class _Pace:
    """The time that a transfer may take, and no part of it may take longer than ``patience``."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._until = time.monotonic() + patience
        self.count = 0
        """Bytes that were transferred."""

    def seconds_left(self) -> float:
        """Return the time for the next bytes.

        Raises:
            TimeoutError: there is none.
        """
        left = self._until + self.count / SLOWEST - time.monotonic()
        if left <= 0:
            raise TimeoutError("the client is too slow")
        return min(left, self._patience)


class Body(io.RawIOBase):
    """The body of a request, read from its connection in pieces.

    Reading raises ``OSError`` if the body is cut off or not chunked properly, and ``TimeoutError``
    if it comes too slowly.

    Args:
        connection: the connection.
        length: of the body in bytes; None for a chunked body.
        ended: called once the body has been received.
    """

    def __init__(
        self, connection: Connection, length: int | None, ended: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._is_chunked = length is None
        self._left = length or 0
        self._ended = ended
        self._pace: _Pace | None = None
        self._taken = 0
        self.is_awaited = False
        """Whether the client waits for ``100 Continue`` before it sends the body."""
        self.is_whole = length == 0
        """Whether all of the body has been received."""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read up to the buffer's size, at least one byte; 0 bytes are the end."""
        if self.is_whole or not len(buffer):
            return 0
        if self._pace is None:  # it begins when somebody waits for the body
            if self.is_awaited:
                self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._pace = _Pace(self._connection.patience)
        if self._is_chunked and not self._left:
            self._left = self._next_chunk(self._pace)
        piece = b""
        if self._left:
            piece = self._connection.receive(min(len(buffer), self._left), self._pace)
            _room.take(len(piece))
            self._taken += len(piece)
            buffer[: len(piece)] = piece
            self._left -= len(piece)
            if self._is_chunked and not self._left:
                self._end_line(self._pace)
        if not self._left and not (self._is_chunked and piece):
            self.is_whole = True
            self._ended()
        return len(piece)

    def release(self) -> None:
        """Give back the room for the body, which is not in use any more."""
        _room.give_back(self._taken)
        self._taken = 0

    def _next_chunk(self, pace: _Pace) -> int:
        """Return the size of the next chunk; 0 is the end of the body."""
        line = self._connection.receive_line(256, pace)
        size = _CHUNK.fullmatch(line)
        if size is None:
            raise OSError("a chunk does not begin with its size")
        if int(size[1], 16) == 0:
            self._end_line(pace)  # a trailer, which no service of AWS has, is refused with this
        return int(size[1], 16)

    def _end_line(self, pace: _Pace) -> None:
        if self._connection.receive_line(2, pace).strip(b"\r\n"):
            raise OSError("a chunk does not end with its size")


class Connections:
    """Accepts the connections of a port, and serves each in a thread once its header is there.

    Args:
        listening: the listening socket.
        serve: answers the request of a connection; it does not close it.
        name: of the threads.
        patience: seconds that a body or an answer may take, besides the time for its bytes.
        most: the most connections at the same time.
    """

    def __init__(
        self,
        listening: socket.socket,
        serve: Callable[[Connection], None],
        name: str,
        *,
        patience: float = PATIENCE,
        most: int | None = None,
    ) -> None:
        self._listening = listening
        self._serve = serve
        self._name = name
        self._patience = patience
        self._most = most or most_connections()
        self._lock = threading.Lock()
        self._waiting: dict[Connection, None] = {}
        """Connections without a complete header, the oldest first; only the thread uses them."""
        self._working: set[Connection] = set()
        self._reading: dict[Connection, None] = {}
        """Those of ``_working`` whose body is still coming, the oldest first."""
        self._is_accepting = False
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._woken, self._waking = socket.socketpair()
        self._woken.setblocking(False)
        self._waking.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        listening.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Close all connections, except those whose request is being answered."""
        self._stopping = True
        if self._thread.is_alive():
            self._wake()
            self._thread.join()
        for connection in list(self._waiting):
            connection.socket.close()
        with self._lock:
            for connection in self._reading:
                connection.end()
        self._selector.close()
        self._woken.close()
        self._waking.close()

    def body_of(self, connection: Connection, length: int | None) -> Body:
        """Return the body of a connection's request.

        Args:
            connection: the connection.
            length: of the body in bytes; None for a chunked body.
        """
        body = Body(connection, length, lambda: self._end_reading(connection))
        connection.body = body
        if not body.is_whole:
            with self._lock:
                self._reading[connection] = None
                if len(self._reading) > MOST_READING:
                    self._evict_reading()
        return body

    # --- the thread that accepts connections ---

    def _run(self) -> None:
        next_tick = time.monotonic() + _TICK
        self._accept_again()
        while not self._stopping:
            is_idle = self._is_accepting and not self._waiting
            ready = [key.fileobj for key, _ in self._selector.select(None if is_idle else _TICK)]
            for connection in ready:  # before new ones take the room of the oldest
                if isinstance(connection, Connection):
                    self._read(connection)
            if self._woken in ready:
                self._woken.recv(_PIECE)
                self._accept_again()
            if self._listening in ready:
                self._accept()
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + _TICK
                self._accept_again()
                for connection in [c for c in self._waiting if c.deadline < time.monotonic()]:
                    self._drop(connection)

    def _accept_again(self) -> None:
        if not self._is_accepting and not self._stopping:
            self._is_accepting = True
            self._selector.register(self._listening, selectors.EVENT_READ)

    def _accept(self) -> None:
        """Accept a connection; if there is no room for it, close the one that is idle longest."""
        try:
            client, address = self._listening.accept()
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._make_room()
            return
        connection = Connection(client, address, self._patience)
        if len(self._waiting) + len(self._working) >= self._most:
            self._make_room()
        self._waiting[connection] = None
        self._selector.register(connection, selectors.EVENT_READ)

    def _make_room(self) -> None:
        if self._waiting:
            self._drop(next(iter(self._waiting)))
            return
        with self._lock:
            self._evict_reading()
        # Until a connection has ended, clients wait in the queue of the system.
        self._is_accepting = False
        self._selector.unregister(self._listening)

    def _evict_reading(self) -> None:
        oldest = next(iter(self._reading), None)
        if oldest is not None:
            del self._reading[oldest]
            oldest.end()

    def _read(self, connection: Connection) -> None:
        try:
            if not connection.has_header():
                return
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
            return
        self._selector.unregister(connection)
        del self._waiting[connection]
        with self._lock:
            self._working.add(connection)
        worker = threading.Thread(
            target=self._work, args=(connection,), name=f"{self._name}-request", daemon=True
        )
        try:
            worker.start()
        except RuntimeError:  # the system has no room for another thread
            self._forget(connection)
            connection.socket.close()

    def _drop(self, connection: Connection) -> None:
        self._selector.unregister(connection)
        del self._waiting[connection]
        connection.socket.close()

    # --- the threads of requests ---

    def _work(self, connection: Connection) -> None:
        try:
            connection.socket.setblocking(True)
            self._serve(connection)
        finally:
            connection.close()
            self._forget(connection)
            memory.give_back_sometimes()
            if not self._is_accepting:
                self._wake()

    def _end_reading(self, connection: Connection) -> None:
        with self._lock:
            self._reading.pop(connection, None)

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            self._working.discard(connection)
            self._reading.pop(connection, None)

    def _wake(self) -> None:
        with suppress(OSError):  # it is awake already, or has ended
            self._waking.send(b"x")
