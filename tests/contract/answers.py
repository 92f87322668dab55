"""Checks of responses that hold for every request."""

import socket
from email.parser import BytesParser
from typing import Any
from urllib.parse import urlsplit

import requests

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def assert_headers(headers: Any) -> None:
    """Check the headers that every response has."""
    for name, value in HEADERS.items():
        assert headers[name] == value
    assert headers["X-Request-Id"]


def problem(answer: requests.Response) -> tuple[int, str]:
    """Check that a response is a problem as the contract says; return its status and code."""
    assert_headers(answer.headers)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    return _problem(answer.status_code, answer.headers, answer.json())


def _problem(status: int, headers: Any, body: dict[str, Any]) -> tuple[int, str]:
    members = {"type", "title", "status", "detail", "code", "requestId"}
    assert members <= set(body) <= members | {"errors", "personId"}
    assert body["status"] == status
    assert body["requestId"] == headers["X-Request-Id"]
    assert body["type"].endswith(body["code"])
    assert len(body["detail"]) < 1000
    return status, body["code"]


def exchange(url: str, sent: bytes, timeout: float = 30.0) -> tuple[int, Any, bytes]:
    """Send bytes to a server; return status, headers and body of the response."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout) as stream:
        stream.sendall(sent)
        stream.shutdown(socket.SHUT_WR)  # the request ends here
        return receive(stream)


def receive(stream: socket.socket) -> tuple[int, Any, bytes]:
    """Read a response until the server closes the connection."""
    received = b""
    while piece := stream.recv(65536):
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, _, headers = head.partition(b"\r\n")
    return int(first.split()[1]), BytesParser().parsebytes(headers), body
