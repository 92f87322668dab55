"""A page of another site, and one whose name was rebound to this machine, get nothing."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Playwright
from werkzeug.wrappers import Response

from facial_recognition.local.pages import LocalPages
from localaws.ports import Server, listen
from sample_photographs import photograph
from tests.browser import browsing
from tests.support.service import BUCKET, Service

EVIL = "evil.test"
ATTACK = """async ([url, body, type]) => {
    const seen = [];
    for (const options of [{}, {mode: 'no-cors'}]) {
        try {
            const answer = await fetch(url, {method: body ? 'POST' : 'GET', body: body || undefined,
                headers: type ? {'Content-Type': type} : {}, ...options});
            if (answer.type !== 'opaque') seen.push([answer.status, await answer.text()]);
        } catch (error) { /* the browser does not let the page read the answer */ }
    }
    return seen;
}"""
FORM = """--x\r
Content-Disposition: form-data; name="{}"\r
\r
Eve\r
--x--\r
"""


@pytest.fixture(scope="module")
def evil(playwright: Playwright) -> Iterator[Browser]:
    """A browser for which the name of the evil site leads to this machine."""
    with browsing.browser(playwright, f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as running:
        yield running


@pytest.fixture(scope="module")
def site() -> Iterator[Server]:
    """The evil site. Its page sends whatever the test tells it to."""
    page = Response("<!doctype html><title>Win a prize</title>", content_type="text/html")
    with Server(listen(0), page, "evil") as server:
        server.guard.open()
        yield server


def attacks(service: Service) -> list[tuple[str, str, str]]:
    aws, api = service.aws.url, service.api_url
    return [
        (f"{aws}/{BUCKET}?list-type=2", "", ""),
        (f"{aws}/{BUCKET}?delete", "<Delete><Object><Key>x</Key></Object></Delete>", "text/plain"),
        (f"{aws}/moto-api/reset", "x", "text/plain"),
        (f"{aws}/moto-api/recorder/start-recording", "x", "text/plain"),
        (f"{aws}/2015-03-31/functions", "{}", "text/plain"),
        (f"{aws}/_localaws/faults", '[{"operation": "*", "kind": "error"}]', "text/plain"),
        (f"{aws}/_localaws/permissions", "", ""),
        (f"{api}/register?name=Eve&personId=eve", "x", "text/plain"),
        (f"{api}/verify", "x", "text/plain"),
        (f"{aws}/{BUCKET}", FORM.format("file"), "multipart/form-data; boundary=x"),
        (f"{api}/register", FORM.format("name"), "multipart/form-data; boundary=x"),
    ]


@pytest.mark.parametrize("host", [EVIL, "127.0.0.1"])
def test_a_page_of_another_site_gets_nothing(
    service: Service, evil: Browser, site: Server, host: str
) -> None:
    service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama")
    service.settle()
    before = service.objects()
    page = evil.new_page()
    page.goto(f"http://{host}:{site.port}/")

    seen: list[Any] = []
    for attack in attacks(service):
        seen += page.evaluate(ATTACK, list(attack))
    assert seen == []
    assert service.objects() == before
    assert service.whose(photograph("obama2.jpg")) == "obama"
    assert service.aws.faults.scripted == []
    page.close()


def test_a_name_that_is_rebound_opens_no_port(
    service: Service, evil: Browser, pages: LocalPages
) -> None:
    page = evil.new_page()
    for url in (service.aws.url, service.api_url, pages.url):
        rebound = f"http://{EVIL}:{urlsplit(url).port}"
        answer = page.goto(f"{rebound}/")
        assert answer is not None
        assert answer.status == 403
        # The page is of the same origin as the port now, and may read all that it says.
        for path in ("/", f"/{BUCKET}?list-type=2", "/verify", "/_localaws/permissions"):
            for body in ("", "x"):
                for status, _ in page.evaluate(ATTACK, [rebound + path, body, ""]):
                    assert status == 403
    page.close()
