"""A page of another site, and one whose name was rebound to this machine, get nothing."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Playwright, Response, expect
from werkzeug.wrappers import Response as WsgiResponse

from facial_recognition.local.pages import LocalPages
from localaws.ports import Server, listen
from sample_photographs import photograph
from tests.browser import browsing
from tests.support.service import BUCKET, Service

EVIL = "evil.test"
ATTACK = """async ([url, body]) => {
    const read = [];
    const send = async (options) => {
        try {
            const answer = await fetch(url, options);
            if (answer.type !== 'opaque') read.push([answer.status, await answer.text()]);
        } catch { /* the browser does not let the page read the answer */ }
    };
    const load = (name, attributes) => new Promise(done => {
        const element = Object.assign(document.createElement(name), attributes);
        element.onload = element.onerror = done;
        document.body.append(element);
    });
    const submit = async (enctype) => {
        const name = `frame${Math.random()}`;
        document.body.insertAdjacentHTML('beforeend', `<iframe name="${name}"></iframe>`);
        const form = document.createElement('form');
        Object.assign(form, {action: url, method: 'post', target: name, enctype});
        form.innerHTML = '<input name="key"><input name="name" value="Eve">';
        form.elements.key.value = body;
        document.body.append(form);
        const loaded = new Promise(done => { document.body.querySelector(
            `iframe[name="${name}"]`).onload = done; });
        form.submit();
        await loaded;
    };
    const sandbox = `<script>fetch(${JSON.stringify(url)}, {method: 'POST', mode: 'no-cors',
        body: ${JSON.stringify(body)}}).finally(() => parent.postMessage('sent', '*'))</script>`;
    await Promise.all([
        send({}), send({mode: 'no-cors'}), send({method: 'POST', body}),
        send({method: 'POST', body, mode: 'no-cors'}),
        send({method: 'PUT', body, headers: {'Content-Type': 'application/json'}}),
        load('img', {src: url}), load('script', {src: url}), load('iframe', {src: url}),
        submit('text/plain'), submit('multipart/form-data'),
        submit('application/x-www-form-urlencoded'),
        new Promise(done => {
            addEventListener('message', done, {once: true});
            const frame = document.createElement('iframe');
            frame.sandbox = 'allow-scripts';  // its origin is null
            frame.srcdoc = sandbox;
            document.body.append(frame);
        }),
    ]);
    return read;
}"""
SEEN = 7
"""The least answers to an attack that Playwright tells of. It counts no answer that CORS hides."""


@pytest.fixture(scope="module")
def evil(playwright: Playwright) -> Iterator[Browser]:
    """A browser for which the name of the evil site leads to this machine."""
    with browsing.browser(playwright, f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as running:
        yield running


@pytest.fixture(scope="module")
def site(pages: LocalPages) -> Iterator[Server]:
    """The evil site. Its page sends whatever the test tells it to."""
    content = f'<!doctype html><title>Win a prize</title><a href="{pages.url}">Click</a>'
    with Server(listen(0), WsgiResponse(content, content_type="text/html"), "evil") as server:
        server.guard.open()
        yield server


def attacks(service: Service, pages: LocalPages) -> list[tuple[str, str]]:
    aws, api = service.aws.url, service.api_url
    return [
        (f"{aws}/{BUCKET}?list-type=2", "x"),
        (f"{aws}/{BUCKET}?delete", "<Delete><Object><Key>x</Key></Object></Delete>"),
        (f"{aws}/{BUCKET}", "faces/obama/1.jpg"),
        (f"{aws}/moto-api/reset", "x"),
        (f"{aws}/2015-03-31/functions/facial-recognition-dev/invocations", "{}"),
        (f"{aws}/restapis/a/prod/_user_request_/", "x"),
        (f"{aws}/_localaws/faults", '[{"operation": "*", "kind": "error before"}]'),
        (f"{api}/register?name=Eve&personId=eve", "x"),
        (f"{pages.url}/config.js", "x"),
    ]


class Answers:
    """The answers that a browser got from the ports, also those that no page can read."""

    def __init__(self, page: Page, *urls: str) -> None:
        self._ports = {urlsplit(url).port for url in urls}
        self.statuses: list[int] = []
        page.on("response", self._note)

    def _note(self, response: Response) -> None:
        if urlsplit(response.url).port in self._ports:
            self.statuses.append(response.status)


@pytest.mark.parametrize("host", [EVIL, "127.0.0.1"])
def test_a_page_of_another_site_gets_nothing(
    service: Service, pages: LocalPages, evil: Browser, site: Server, host: str
) -> None:
    service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama")
    service.settle()
    before = service.objects()
    page = evil.new_page()
    page.goto(f"http://{host}:{site.port}/")
    answers = Answers(page, service.aws.url, service.api_url, pages.url)

    for attack in attacks(service, pages):
        assert page.evaluate(ATTACK, list(attack)) == []

    assert set(answers.statuses) == {403}
    assert len(answers.statuses) >= SEEN * len(attacks(service, pages))
    assert service.objects() == before
    assert service.whose(photograph("obama2.jpg")) == "obama"
    assert service.aws.faults.scripted == []
    page.close()


def test_a_link_from_another_site_opens_the_pages(evil: Browser, site: Server) -> None:
    page = evil.new_page()
    page.goto(f"http://{EVIL}:{site.port}/")

    page.get_by_role("link").click()

    expect(page.locator("h1")).not_to_be_empty()
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
            read = page.evaluate(ATTACK, [rebound + path, "x"])
            assert {status for status, _ in read} == {403}
    page.close()
