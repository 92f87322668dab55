"""Fixtures: Chromium with a camera, the pages, and the service behind them."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, expect, sync_playwright

from facial_recognition.infra.pages import PagesConfig
from facial_recognition.local.pages import LocalPages
from sample_photographs import photograph
from tests.browser import browsing
from tests.browser import whole as whole_service
from tests.support.service import Service

PATIENCE = 30_000

Open = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests if Chromium is not installed, unless REQUIRE_BROWSER=1."""
    if browsing.chromium() or os.environ.get("REQUIRE_BROWSER") == "1":
        return
    skip = pytest.mark.skip(reason="Chromium is not installed (Debian: apt-get install chromium)")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(skip)


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """The Playwright driver."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for the films that cameras show."""
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="package")
def chromium(playwright: Playwright, films: Path) -> Iterator[Browser]:
    """Chromium with a camera that shows one person."""
    film = browsing.film(films / "obama.y4m", photograph("obama.jpg"))
    with browsing.browser(playwright, *browsing.camera(film)) as running:
        yield running


@pytest.fixture(scope="package")
def pages(running: Service) -> Iterator[LocalPages]:
    """The pages, connected to the running API."""
    with LocalPages(PagesConfig(running.api_url), running.aws.url, guards=running.guards) as pages:
        yield pages


@pytest.fixture(scope="package")
def whole() -> Iterator[whole_service.WholeService]:
    """The service in a process of its own, without the check for duplicate faces.

    There are sample photographs of only two people. The tests register a whole club with them.
    """
    with whole_service.running(DUPLICATE_FACE_THRESHOLD="0") as running:
        yield running


@pytest.fixture
def open_page(request: pytest.FixtureRequest) -> Iterator[Open]:
    """A function that opens a page: ``open_page("verify.html", viewport=…, permissions=…)``.

    The test fails if a script raises an error or violates the security policy. ``errors`` is a part
    of the text of an error that the test expects. ``before`` is called with the page before it
    loads.
    """
    found: list[str] = []
    # Some tests provoke error responses, so the browser's message about those is no failure.
    expected = ["Failed to load resource"]

    def collect_error(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(part in message.text for part in expected):
            found.append(message.text)

    with ExitStack() as contexts:

        def opened(
            path: str,
            *,
            pages: LocalPages | str | None = None,
            chromium: Browser | None = None,
            viewport: Any = browsing.DESKTOP,
            permissions: tuple[str, ...] = ("camera",),
            errors: str | None = None,
            before: Callable[[Page], object] = lambda page: None,
        ) -> Page:
            if errors is not None:
                expected.append(errors)
            pages = pages or request.getfixturevalue("pages")
            chromium = chromium or request.getfixturevalue("chromium")
            context = chromium.new_context(viewport=viewport, permissions=list(permissions))
            contexts.callback(context.close)
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            page.on("console", collect_error)
            page.on("pageerror", lambda error: found.append(str(error)))
            before(page)
            page.goto(f"{pages if isinstance(pages, str) else pages.url}/{path}")
            return page

        yield opened
    assert found == []
