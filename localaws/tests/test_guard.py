"""The ports refuse the requests of foreign web pages, and answer programs."""

from collections.abc import Iterator

import pytest
import requests
from werkzeug.wrappers import Response

from localaws.ports import Server, listen

PAGE = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(listen(0), Response("hello"), "test") as server:
        server.guard.admit(PAGE)
        yield server


def link(**changed: str) -> dict[str, str]:
    return {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
        **changed,
    }


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost"},
        {"Host": "LOCALHOST:9"},
        {"Host": "[::1]:4566"},
        {"Origin": PAGE, "Sec-Fetch-Site": "same-site"},
        {"Host": "localhost:99", "Origin": "http://localhost:99"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
        link(),
    ],
    ids=str,
)
def test_programs_and_known_pages_are_answered(server: Server, headers: dict[str, str]) -> None:
    assert requests.get(server.url, headers=headers, timeout=30).text == "hello"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example:4566"},
        {"Host": "127.0.0.1@evil.example"},
        {"Host": "127.0.0.1:80:80"},
        {"Host": ""},
        {"Host": "127.0.0.1,evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": f"{PAGE}1"},
        {"Origin": "https://127.0.0.1:8080"},
        {"Origin": "http://localhost:8080"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "something new"},
        link(**{"Sec-Fetch-Dest": "iframe"}),
        link(**{"Sec-Fetch-Mode": "no-cors"}),
        link(Origin="null"),
    ],
    ids=str,
)
def test_foreign_pages_are_refused(server: Server, headers: dict[str, str]) -> None:
    answer = requests.get(server.url, headers=headers, timeout=30)

    assert answer.status_code == 403
    assert answer.text.startswith("Forbidden: ")
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


def test_a_link_cannot_send_a_form(server: Server) -> None:
    assert requests.post(server.url, headers=link(), timeout=30).status_code == 403


def test_an_open_port_answers_everybody() -> None:
    with Server(listen(0), Response("hello"), "test") as server:
        server.guard.open()
        headers = {"Host": "evil.example", "Origin": "null"}
        assert requests.get(server.url, headers=headers, timeout=30).text == "hello"
