"""Idle, slow and broken clients cost little, and keep nobody else from an answer."""

import http.client
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import Queue
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from localaws import connections
from localaws.bodies import BodyRefused, read_whole
from localaws.ports import Server, listen

WAIT = 20.0
"""Seconds after which a test fails that waits for something."""


def application(environ: Any, start_response: Any) -> Any:
    """Answer with the size of the body, or why it cannot be read."""
    request = Request(environ)
    if request.path == "/large":
        return Response(bytes(50_000_000))(environ, start_response)
    try:
        answer = Response(str(len(read_whole(environ, 10**9))))
    except BodyRefused as refused:
        answer = Response(refused.reason.name, 400)
    return answer(environ, start_response)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers with some options."""
    with ExitStack() as running:

        def start(app: Any = application, **options: Any) -> Server:
            return running.enter_context(Server(listen(0), app, "test", **options))

        yield start


def connect(server: Server, sent: bytes = b"") -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", server.port), WAIT)
    stream.sendall(sent)
    return stream


def answer_to(server: Server, body: bytes = b"") -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT)
    client.request("POST", "/", body)
    answer = client.getresponse()
    content = answer.read()
    client.close()
    return answer.status, content


def end_of(stream: socket.socket) -> bytes:
    """Return all that a connection receives until the server closes it."""
    received = b""
    try:
        while piece := stream.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    stream.close()
    return received


def post(length: int, begin: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (length, begin)


def test_a_silent_connection_is_closed(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.1)

    assert end_of(connect(serve())) == b""


def test_a_header_must_be_there_in_time(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    stream = connect(serve(), b"GET / HTTP/1.1\r\n")
    is_closed = threading.Event()

    def dribble() -> None:
        while not is_closed.wait(0.02):
            try:
                stream.sendall(b"X: y\r\n")
            except OSError:
                return

    dribbling = threading.Thread(target=dribble)
    dribbling.start()
    assert end_of(stream) == b""
    is_closed.set()
    dribbling.join()


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
def test_a_body_must_come_fast_enough(serve: Callable[..., Server], framing: bytes) -> None:
    server = serve(patience=0.3)
    stream = connect(server, b"POST / HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n")
    stop = threading.Event()

    def dribble() -> None:
        while not stop.wait(0.02):
            try:
                stream.sendall(b"1")
            except OSError:
                return

    dribbling = threading.Thread(target=dribble)
    dribbling.start()
    received = end_of(stream)
    stop.set()
    dribbling.join()
    assert received.startswith(b"HTTP/1.1 400")
    assert received.endswith(b"TOO_SLOW")


def test_a_client_that_reads_no_answer_is_left(serve: Callable[..., Server]) -> None:
    asked: Queue[threading.Thread] = Queue()

    def answer(environ: Any, start_response: Any) -> Any:
        asked.put(threading.current_thread())
        return application(environ, start_response)

    server = serve(answer, patience=0.3)
    stream = connect(server, b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
    worker = asked.get(timeout=WAIT)
    worker.join(WAIT)

    assert not worker.is_alive()
    assert len(end_of(stream)) < 50_000_000


def test_idle_clients_make_room_for_others(serve: Callable[..., Server]) -> None:
    server = serve(most_connections=16)
    idle = [connect(server, b"GET / HTTP/1.1\r\n" * (number % 2)) for number in range(100)]

    for _ in range(20):
        assert answer_to(server, b"body") == (200, b"4")
    for stream in idle:
        stream.close()


def test_slow_bodies_make_room_for_others(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_READING", 8)
    begun = threading.Semaphore(0)

    def answer(environ: Any, start_response: Any) -> Any:
        begun.release()
        return application(environ, start_response)

    server = serve(answer, patience=60.0)
    slow = []
    for _ in range(30):
        slow.append(connect(server, post(10, b"12345")))
        assert begun.acquire(timeout=WAIT)

    assert answer_to(server, b"body") == (200, b"4")
    for stream in slow[:20]:
        assert b"HTTP/1.1 200" not in end_of(stream)
    slow[-1].sendall(b"67890")
    assert end_of(slow[-1]).endswith(b"10")
    for stream in slow[20:-1]:
        stream.close()


def test_a_request_that_is_being_answered_is_not_given_up(serve: Callable[..., Server]) -> None:
    begun, may_end = threading.Event(), threading.Event()

    @Request.application
    def work(request: Request) -> Response:
        if request.path == "/work":
            begun.set()
            may_end.wait(WAIT)
        return Response("done")

    server = serve(work, most_connections=16)
    stream = connect(server, b"GET /work HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert begun.wait(WAIT)
    idle = [connect(server) for _ in range(50)]
    assert answer_to(server) == (200, b"done")
    may_end.set()

    assert end_of(stream).endswith(b"done")
    for other in idle:
        other.close()


def test_when_all_are_at_work_others_wait(serve: Callable[..., Server]) -> None:
    may_end, begun = threading.Event(), threading.Barrier(17, timeout=WAIT)

    @Request.application
    def work(request: Request) -> Response:
        if request.path == "/work":
            begun.wait()
            may_end.wait(WAIT)
        return Response("done")

    server = serve(work, most_connections=16)
    busy = [connect(server, b"GET /work HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(16)]
    begun.wait()
    waiting = connect(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    may_end.set()

    for stream in (*busy, waiting):
        assert end_of(stream).endswith(b"done")


def test_a_client_that_is_still_sending_sees_why_it_is_refused(
    serve: Callable[..., Server],
) -> None:
    server = serve(Response("no", 403))

    assert answer_to(server, bytes(20_000_000))[0] == 403


def test_continue_is_answered_before_the_body(serve: Callable[..., Server]) -> None:
    head = post(4).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    stream = connect(serve(), head)
    assert stream.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    stream.sendall(b"body")

    assert end_of(stream).endswith(b"4")


@pytest.mark.parametrize("end", ["\r\n\r\n", "\n\n"])
def test_a_header_may_come_in_any_pieces(serve: Callable[..., Server], end: str) -> None:
    stream = connect(serve())
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line = end[: len(end) // 2]
    for byte in f"POST / HTTP/1.1{line}Host: localhost{line}Content-Length: 2{end}ab":
        stream.sendall(byte.encode())

    assert end_of(stream).endswith(b"2")


def test_a_header_without_an_end_is_refused(serve: Callable[..., Server]) -> None:
    for size in (65_536, 70_000, 5_000_000):
        stream = connect(serve(), b"GET / HTTP/1.1\r\nX: " + b"y" * size)
        stream.shutdown(socket.SHUT_WR)
        assert end_of(stream)[:12] == b"HTTP/1.1 431"


def test_a_server_stops_with_open_connections() -> None:
    server = Server(listen(0), application, "test")
    server.start()
    streams = [connect(server), connect(server, b"GET"), connect(server, post(10, b"1"))]
    server.stop()

    for stream in streams:
        assert b"HTTP/1.1 200" not in end_of(stream)
    with pytest.raises(ConnectionRefusedError):
        connect(server)


FEW_FILES = """
import http.client, os, resource, socket, sys
from werkzeug.wrappers import Response
from localaws.ports import Server, listen

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
with Server(listen(0), Response("hello"), "test", most_connections=1000) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""


def test_a_server_survives_the_limit_of_open_files() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FEW_FILES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        idle = [socket.create_connection(("127.0.0.1", port), WAIT) for _ in range(200)]
        for _ in range(10):
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
            client.request("GET", "/")
            assert client.getresponse().read() == b"hello"
            client.close()
        process.stdin.close()
        assert process.wait(WAIT) == 0
    for stream in idle:
        stream.close()


def test_the_limit_of_open_files_is_raised() -> None:
    script = """
import resource
from localaws.connections import most_connections, raise_file_limit
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
before = most_connections()
raise_file_limit()
print(before, most_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    before, after, soft = map(int, done.stdout.split())

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert before < after
    assert hard in (-1, soft) or soft == 65_536
