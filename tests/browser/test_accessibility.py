"""axe finds no accessibility problems on the pages, in both colour schemes."""

import json
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from facial_recognition.infra.pages import PagesConfig
from facial_recognition.local.pages import LocalPages
from sample_photographs import landscape, photograph
from tests.browser.browsing import PHONE
from tests.browser.conftest import Open
from tests.browser.people import (
    choose,
    expect_answer,
    fill_in_person,
    press,
    register,
)
from tests.support.service import Service

RULES: Any = {
    "runOnly": [
        "wcag2a",
        "wcag2aa",
        "wcag21a",
        "wcag21aa",
        "wcag22a",
        "wcag22aa",
        "best-practice",
    ]
}


def expect_accessible(page: Page) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = Axe().run(page, options=RULES).response
        assert found["passes"], "axe did not run"
        broken = [
            (violation["id"], [node["html"] for node in violation["nodes"]])
            for violation in found["violations"]
        ]
        assert broken == [], f"{scheme}: {json.dumps(broken, indent=2)}"


@pytest.mark.parametrize("path", ["", "register.html", "verify.html", "nothing.html"])
def test_as_they_open(running: Service, open_page: Open, path: str) -> None:
    page = open_page(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()

    expect_accessible(page)


def test_registered_and_refused(service: Service, open_page: Open) -> None:
    page = open_page("register.html", viewport=PHONE)
    press(page, "Choose photographs")  # shows errors at the missing fields
    expect_accessible(page)

    fill_in_person(page, "Barack Obama")
    press(page, "Start the camera")
    expect(page.get_by_role("button", name="Take the photograph")).to_be_visible()
    register(page, photograph("obama.jpg"), landscape())

    expect(page.get_by_text("1 of 2 photographs registered, 1 failed")).to_be_visible()
    expect_accessible(page)


def test_answers(service: Service, open_page: Open) -> None:
    service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama")
    service.upload("faces/barry/barry.jpg", photograph("obama2.jpg"))
    page = open_page("verify.html", viewport=PHONE)
    answers = [
        (photograph("obama.jpg"), "match", "Barack Obama"),
        (photograph("biden.jpg"), "stranger", "Not recognised"),
        (landscape(), "problem", "No face found"),
    ]
    for content, kind, text in answers:
        choose(page, content)
        expect_answer(page, kind, text)

        expect_accessible(page)


def test_the_question_for_the_key(running: Service, open_page: Open) -> None:
    with LocalPages(
        PagesConfig(running.api_url, auth="api-key"), running.aws.url, guards=running.guards
    ) as pages:
        page = open_page("verify.html", pages=pages)
        choose(page, photograph("obama.jpg"))
        expect(page.get_by_role("dialog", name="API key")).to_be_visible()

        expect_accessible(page)
