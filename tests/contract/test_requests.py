"""Odd and hostile requests: each has a defined response."""

import base64
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from facial_recognition.local.api import LocalApi
from facial_recognition.local.project import Project
from sample_photographs import encoded, landscape, opened, photograph, resized
from tests.contract.answers import assert_headers, exchange, problem, receive
from tests.support.service import Service

# From Python 3.14 on, the parser reaches the bottom of the nesting.
NESTED = "nested too deeply" if sys.version_info < (3, 14) else "Expected neither"


PORTRAIT = resized(photograph("obama.jpg"), 400)
PNG = encoded(opened(PORTRAIT), "PNG")
BASE64 = base64.b64encode(PORTRAIT).decode()


def send(service: Service, body: bytes | str, path: str = "verify", **headers: str) -> Any:
    """Post a body without changing it."""
    data = body.encode() if isinstance(body, str) else body
    options = {"Content-Type": "application/json", **headers}
    return service.post(path, data=data, headers=options)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("verify", '{"threshold": 1, "threshold": 2}', "comes twice"),
        ("register", '{"name": "a", "\\u006eame": "b"}', "comes twice"),
        ("register", '{"name": "\\"", "name": "\\""}', "comes twice"),
        ("verify", '{"image": [' + "[]," * 1_000_000 + '[]], "image": null}', "comes twice"),
        ("verify", '{"\\"": 1}', "unknown field"),
        ("verify", '{"threshold": NaN}', "not valid JSON"),
        ("verify", '{"threshold": Infinity}', "not valid JSON"),
        ("verify", '{"threshold": 1e400}', "threshold"),
        ("verify", '{"threshold": -1e-9}', "threshold"),
        ("verify", '{"threshold": "95"}', "threshold"),
        ("verify", '{"threshold": true}', "threshold"),
        ("verify", '{"maxMatches": 1' + "0" * 5000 + "}", "maxMatches"),
        ("verify", '{"maxMatches": 0}', "maxMatches"),
        ("verify", '{"maxMatches": 101}', "maxMatches"),
        ("verify", '{"maxMatches": 1.5}', "maxMatches"),
        ("verify", '{"maxMatches": null}', "maxMatches"),
        ("register", '{"name": "\\ud800"}', "not valid JSON"),
        ("register", '{"name": "\\udc00\\ud800"}', "not valid JSON"),
        ("register", b'{"name": "\xed\xa0\x80"}', "not valid JSON"),
        ("register", b'{"name": "\xff"}', "not valid JSON"),
        ("register", '{"name": "a\\u0000b"}', "name"),
        ("register", '{"name": "a\\u202eb"}', "name"),
        ("register", '{"name": "' + "x" * 201 + '"}', "name"),
        ("register", '{"name": "Ada", "personId": ".."}', "personId"),
        ("register", '{"name": "Ada", "personId": "a/../b"}', "personId"),
        ("register", '{"name": "Ada", "image": ["' + BASE64 + '"]}', "image"),
        ("register", '{"name": "Ada", "contentType": "' + "x" * 90000 + '"}', "contentType"),
        (
            "register",
            '{"name": "Ada", "contentType": "image/png", "image": "' + BASE64 + '"}',
            "contentType",
        ),
        ("verify", '{"' + "x" * 90000 + '": 1}', "unknown field"),
        ("verify", '{"": 1}', "unknown field"),
        ("verify", '{"__proto__": 1}', "unknown field"),
        ("verify", "[" * 100_000, "Expected `object`"),
        ("verify", '{"image": ' + "[" * 100_000 + "]" * 100_000 + "}", NESTED),
        ("verify", '{"image": ' * 900 + "1" + "}" * 900, "image"),
        ("verify", '{"image": [' + "[]," * 1_000_000 + "[]]}", "image"),
        ("verify", "null", "Expected `object`"),
        ("verify", '"text"', "Expected `object`"),
        ("verify", "{} {}", "not valid JSON"),
        ("verify", b"\xef\xbb\xbf{}", "not valid JSON"),
        ("verify", '{"threshold": 1}'.encode("utf-16"), "not valid JSON"),
        ("verify", "\0", "not valid JSON"),
        ("create-index", '{"imageKey": "faces/a\\u0000.jpg"}', "imageKey"),
        ("create-index", '{"imageKey": "' + "\N{PILE OF POO}" * 257 + '"}', "imageKey"),
        ("create-index", '{"imageKey": "elsewhere/a.jpg"}', "imageKey"),
        ("create-index", '{"imageKey": "faces/a/b.jpg", "personId": "a"}', "personId"),
        ("create-index", '{"nextToken": ""}', "nextToken"),
        ("create-index", '{"nextToken": "nonsense"}', "nextToken"),
        ("create-index", '{"nextToken": "ä"}', "nextToken"),
        ("create-index", '{"nextToken": "' + "A" * 5000 + '"}', "nextToken"),
        ("create-index", '{"repair": 1}', "repair"),
    ],
)
def test_a_malformed_field_is_named(
    running: Service, path: str, body: bytes | str, words: str
) -> None:
    answer = send(running, body, path)

    assert problem(answer) == (400, "malformed_request")
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("phase", ["photographs", "records", "faces"])
@pytest.mark.parametrize(
    "after", ["x", "\0", "\ufffe", "faces/" + "x" * 2000, "\N{PILE OF POO}", ""]
)
def test_an_invented_token_does_no_harm(running: Service, phase: str, after: str) -> None:
    token = base64.urlsafe_b64encode(json.dumps({"phase": phase, "after": after}).encode())
    answer = running.post("create-index", {"nextToken": token.decode(), "repair": True})

    assert answer.status_code == 200 or problem(answer) == (400, "malformed_request")


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json; charset=utf-8", (400, "image_missing")),
        ("APPLICATION/JSON", (400, "image_missing")),
        ("text/plain", (415, "unsupported_media_type")),
        ("application/x-www-form-urlencoded", (415, "unsupported_media_type")),
        ("application/json, image/jpeg", (415, "unsupported_media_type")),
        ("", (400, "image_missing")),
        (";;;", (415, "unsupported_media_type")),
        ("image/jpeg", (415, "unsupported_image")),
        ("image/svg+xml", (415, "unsupported_image")),
        ("multipart/form-data", (400, "malformed_request")),
        ("multipart/form-data; boundary=", (400, "malformed_request")),
        ("multipart/form-data; boundary=x", (400, "malformed_request")),
        ("multipart/mixed; boundary=x", (415, "unsupported_media_type")),
    ],
)
def test_a_body_is_read_as_its_type_says(
    running: Service, content_type: str, expected: tuple[int, str]
) -> None:
    assert problem(send(running, "{}", **{"Content-Type": content_type})) == expected


def test_accept_is_ignored(running: Service) -> None:
    for accept in ("text/html", "image/jpeg", "application/xml;q=0", "", "*/*"):
        assert problem(send(running, "{}", Accept=accept)) == (400, "image_missing")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "BREW"])
def test_other_methods_are_not_allowed(running: Service, method: str) -> None:
    for path in ("register", "create-index", "verify"):
        answer = requests.request(method, f"{running.api_url}/{path}", timeout=30)

        assert problem(answer) == (405, "method_not_allowed")
        assert answer.headers["Allow"] == "POST"


def test_head_has_no_body(running: Service) -> None:
    answer = requests.head(f"{running.api_url}/verify", timeout=30)

    assert (answer.status_code, answer.content) == (405, b"")
    assert_headers(answer.headers)


@pytest.mark.parametrize(
    "path", ["", "nothing", "verify/nothing", "VERIFY", "%2e%2e/verify", "verify%00"]
)
def test_other_paths_are_not_found(running: Service, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        headers = {"Authorization": "anything"}
        answer = requests.request(method, f"{running.api_url}/{path}", headers=headers, timeout=30)

        assert problem(answer) == (404, "not_found")


def test_browsers_may_send_a_preflight_request(running: Service) -> None:
    preflight = requests.options(
        f"{running.api_url}/verify",
        headers={"Origin": running.api_url, "Access-Control-Request-Method": "POST"},
        timeout=30,
    )

    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert set(preflight.headers["Access-Control-Allow-Methods"].split(",")) == {"OPTIONS", "POST"}
    assert "Content-Type" in preflight.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in preflight.headers


def test_a_page_may_read_the_request_id_and_retry_after(running: Service) -> None:
    answer = send(running, "{}")

    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert set(exposed.split(",")) == {"Retry-After", "X-Request-Id"}


class TestForms:
    """``multipart/form-data``, as browsers and many clients send it."""

    @pytest.mark.parametrize("image", [PORTRAIT, PNG], ids=["jpeg", "png"])
    def test_a_form_is_as_good_as_json(self, service: Service, image: bytes) -> None:
        fields = {"name": "Barack Obama \N{PILE OF POO}", "personId": "obama"}
        registered = service.post("register", data=fields, files={"image": ("a.heic", image)})
        service.settle()
        verified = service.post(
            "verify", data={"threshold": "90.5", "maxMatches": "1"}, files={"image": image}
        )

        assert registered.status_code == 201, registered.text
        assert verified.json()["person"] == {"personId": "obama", "name": fields["name"]}
        assert verified.json()["threshold"] == 90.5

    @pytest.mark.parametrize(
        ("parts", "expected", "words"),
        [
            ([("image", b"")], (400, "image_missing"), "no photograph"),
            ([("threshold", b"9")], (400, "image_missing"), "Send the photograph"),
            ([("image", b"GIF89a")], (415, "unsupported_image"), "GIF"),
            ([("image", PNG), ("image", PNG)], (400, "malformed_request"), "image: Expected once"),
            ([("image", PNG), ("x", b"")], (400, "malformed_request"), "unknown field `x`"),
            ([("image", PNG), ("personId", b"\xff")], (400, "malformed_request"), "personId"),
            ([("image", PNG), ("threshold", b"null")], (400, "malformed_request"), "threshold"),
            ([("image", PNG), ("threshold", b"nan")], (400, "malformed_request"), "threshold"),
            ([(f"x{n}", b"") for n in range(11)], (400, "malformed_request"), "form"),
        ],
        ids=lambda value: value if isinstance(value, str) else None,
    )
    def test_a_wrong_form_is_refused(
        self,
        running: Service,
        parts: list[tuple[str, bytes]],
        expected: tuple[int, str],
        words: str,
    ) -> None:
        files = [(name, (None, content)) for name, content in parts]
        answer = running.post("verify", files=files)

        assert problem(answer) == expected
        assert words in answer.json()["detail"]

    def test_a_form_that_is_cut_off_is_refused(self, running: Service) -> None:
        form = requests.Request("POST", "http://-", files={"image": PNG}).prepare()
        assert isinstance(form.body, bytes)
        content_type = form.headers["Content-Type"]
        for length in range(0, len(form.body) - 4, len(form.body) // 20):
            answer = send(running, form.body[:length], **{"Content-Type": content_type})
            assert problem(answer) == (400, "malformed_request")

    def test_fields_stand_in_one_place(self, running: Service) -> None:
        for options in ({"files": {"image": PNG}}, {"json": {}}):
            answer = running.post("verify", params={"threshold": "9"}, **options)
            assert problem(answer) == (400, "malformed_request")
            assert "not in the query" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("threshold=9&threshold=9", "threshold: Expected once"),
        ("threshold=null", "threshold"),
        ("threshold=nan", "threshold"),
        ("threshold=", "threshold"),
        ("maxMatches=1e9", "maxMatches"),
        ("image=x", "image: Expected in the body"),
        ("colour=red", "unknown field `colour`"),
        ("personId=%00", "personId"),
        ("personId=%ff", "personId"),
        ("&".join(f"x{n}=1" for n in range(5000)), "unknown field"),
    ],
    ids=lambda value: value[:30],
)
def test_query_parameters_are_fields(running: Service, query: str, words: str) -> None:
    answer = send(running, PORTRAIT, f"verify?{query}", **{"Content-Type": "image/jpeg"})

    assert problem(answer) == (400, "malformed_request")
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"nonsense\r\n\r\n", (400, "malformed_request")),
        (b"POST /verify HTTP/9.9\r\n\r\n", (400, "malformed_request")),
        (b"POST /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", (400, "malformed_request")),
        (b"POST / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", (400, "malformed_request")),
        (b"POST / HTTP/1.1\r\n" + b"X: x\r\n" * 200 + b"\r\n", (400, "malformed_request")),
        (
            b"POST /verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
            (400, "malformed_request"),
        ),
        (
            b"POST /verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e3\r\n\r\n",
            (400, "malformed_request"),
        ),
        (
            b"POST /verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n{}",
            (400, "malformed_request"),
        ),
        (
            b"POST /verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{}",
            (400, "malformed_request"),
        ),
        (
            b"POST /verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
            + b"9" * 5000
            + b"\r\n\r\n",
            (400, "malformed_request"),
        ),
        (
            b"POST /verify HTTP/1.1\r\nHost: localhost\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n9\r\n{}",
            (400, "malformed_request"),
        ),
        (
            b"POST /verify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
            (400, "malformed_request"),
        ),
        (
            b"POST /verify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            (400, "malformed_request"),
        ),
        (
            b"POST /verify HTTP/1.1\r\nHost: localhost\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            (400, "image_missing"),
        ),
        (b"POST /verify HTTP/1.0\r\nHost: localhost\r\n\r\n", (400, "image_missing")),
    ],
    ids=lambda value: str(value[:60]),
)
def test_broken_http_is_answered(running: Service, sent: bytes, expected: tuple[int, str]) -> None:
    status, headers, body = exchange(running.api_url, sent)

    assert_headers(headers)
    assert (status, json.loads(body)["code"]) == expected


class TestLoad:
    """Bad clients do not keep the server from answering others."""

    @pytest.fixture
    def impatient(self, project: Project) -> Iterator[LocalApi]:
        """The API on its own port, with one second for a body to arrive."""
        with LocalApi(project, patience=1.0) as api:
            yield api

    def test_64_megabytes_are_refused(self, running: Service) -> None:
        for kind in ("image/jpeg", "application/json"):
            answer = send(running, bytes(64 * 1024**2), **{"Content-Type": kind})
            assert problem(answer) == (413, "image_too_large")

    def test_more_than_6_megabytes_are_refused(self, running: Service) -> None:
        answer = send(running, b" " * (6 * 1024**2 + 1))

        assert problem(answer) == (413, "image_too_large")

    @pytest.mark.parametrize(
        "framing",
        [b"Content-Length: 1000", b"Transfer-Encoding: chunked"],
        ids=["length", "chunks"],
    )
    def test_slow_bodies_do_not_keep_others_waiting(
        self, running: Service, impatient: LocalApi, framing: bytes
    ) -> None:
        address = urlsplit(impatient.url)
        head = b"POST /verify HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n"
        slow = [socket.create_connection((address.hostname, address.port), 30) for _ in range(50)]
        stop = threading.Event()

        def drip() -> None:
            for stream in slow:
                stream.sendall(head)
            while not stop.wait(0.1):
                for stream in slow:
                    with suppress(OSError):
                        stream.sendall(b"1")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            before = time.monotonic()
            assert requests.post(f"{impatient.url}/verify", json={}, timeout=30).status_code == 400
            assert time.monotonic() - before < 1.0
            for stream in slow:
                status, headers, body = receive(stream)
                assert (status, json.loads(body)["code"]) == (408, "request_timeout")
                assert headers["Retry-After"]
        finally:
            stop.set()
            dripping.join()
            for stream in slow:
                stream.close()

    def test_100_clients_at_once_are_answered(self, running: Service) -> None:
        def ask(number: int) -> int:
            image = PORTRAIT if number % 2 else landscape(160, 120)
            return running.post(
                "verify", data=image, headers={"Content-Type": "image/jpeg"}
            ).status_code

        with ThreadPoolExecutor(100) as clients:
            statuses = list(clients.map(ask, range(100)))

        assert statuses == [422, 200] * 50
