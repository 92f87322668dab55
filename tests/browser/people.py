"""Steps that a user takes on the pages, and expectations on the results."""

import re
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Locator, Page, expect


def fill_in_person(page: Page, name: str, person_id: str | None = None) -> None:
    """Fill in the name and the id of a person, and confirm their consent."""
    page.get_by_label("Name").fill(name)
    if person_id is not None:
        page.get_by_label("Person id").fill(person_id)
    page.get_by_label("They know this, and they agree.").check()


def choose(page: Page, *photographs: bytes, button: str = "Choose a photograph") -> None:
    """Choose photographs in the file dialog that a button opens."""
    _wait_for_camera(page)
    files: Sequence[Any] = [
        {"name": f"photograph-{number}.jpg", "mimeType": "image/jpeg", "buffer": content}
        for number, content in enumerate(photographs)
    ]
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=button, exact=True).click()
    chooser.value.set_files(files)


def register(page: Page, *photographs: bytes) -> None:
    """Choose photographs on the page for registering people."""
    choose(page, *photographs, button="Choose photographs")


def press(page: Page, name: str) -> None:
    """Press a button."""
    page.get_by_role("button", name=name, exact=True).click()


def item(page: Page, name: str) -> Locator:
    """Return the entries of a person's photographs in the list."""
    return page.get_by_role("listitem").filter(has=page.get_by_text(name, exact=True))


def expect_registered(page: Page, name: str) -> None:
    """Wait until a person's only photograph is indexed."""
    expect(item(page, name).get_by_text("Recognisable")).to_have_class("step done")


def expect_answer(page: Page, kind: str, text: str) -> None:
    """Wait for an answer of a kind ("match", "stranger" or "problem") that shows a text."""
    answer = page.locator("#answer")
    expect(answer.get_by_text(text, exact=True)).to_be_visible()
    expect(answer).to_have_attribute("data-kind", kind)


def _wait_for_camera(page: Page) -> None:
    """Wait until a camera that starts automatically has started: it moves the buttons below."""
    state = page.evaluate("navigator.permissions.query({name: 'camera'}).then((it) => it.state)")
    if page.url.endswith("verify.html") and state == "granted":
        expect(page.locator(".camera-view")).to_have_attribute(
            "data-state", re.compile("on|failed")
        )
