"""The page for verifying people."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright, expect

from sample_photographs import group, landscape, photograph
from tests.browser import browsing
from tests.browser.browsing import DESKTOP, PHONE, drop
from tests.browser.conftest import Open
from tests.browser.people import choose, expect_answer, press
from tests.support.service import Service


@pytest.fixture
def obama(service: Service) -> Service:
    """The service with Barack Obama registered."""
    return register_person(service, "obama.jpg", "Barack Obama", "obama")


@pytest.fixture
def biden(service: Service) -> Service:
    """The service with Joe Biden registered."""
    return register_person(service, "biden.jpg", "Joe Biden", "biden")


def register_person(service: Service, file: str, name: str, person_id: str) -> Service:
    answer = service.register(photograph(file), name=name, personId=person_id)
    assert answer.status_code == 201, answer.text
    service.settle()
    return service


def ask_whether_it_is(page: Page, person_id: str) -> None:
    page.get_by_label("Is it this person?").check()
    page.get_by_label("Person id").fill(person_id)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_by_camera(obama: Service, open_page: Open, viewport: Any) -> None:
    page = open_page("verify.html", viewport=viewport)

    press(page, "Check now")

    expect_answer(page, "match", "Barack Obama")
    expect(page.get_by_text("Recognised", exact=True)).to_be_in_viewport()
    expect(page.get_by_role("meter", name="Similarity")).to_be_visible()
    expect(page.locator(".face-box")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_camera_does_not_start_before_it_is_allowed(obama: Service, open_page: Open) -> None:
    page = open_page("verify.html", permissions=())

    expect(page.get_by_role("button", name="Start the camera")).to_be_visible()


def test_by_file(obama: Service, open_page: Open) -> None:
    page = open_page("verify.html", viewport=PHONE)

    choose(page, photograph("obama2.jpg"))

    expect_answer(page, "match", "Barack Obama")


def test_by_a_dropped_file(obama: Service, open_page: Open, tmp_path: Path) -> None:
    file = tmp_path / "somebody.jpg"
    file.write_bytes(photograph("obama3.jpg"))
    page = open_page("verify.html")

    drop(page, file)

    expect_answer(page, "match", "Barack Obama")


def test_a_stranger(biden: Service, open_page: Open) -> None:
    page = open_page("verify.html")

    press(page, "Check now")

    expect_answer(page, "stranger", "Not recognised")
    expect(page.locator("#answer")).to_contain_text("At least 95 % is needed.")


def test_no_face(obama: Service, open_page: Open) -> None:
    page = open_page("verify.html")

    choose(page, landscape())

    expect_answer(page, "problem", "No face found")


def test_the_larger_of_two_faces(obama: Service, open_page: Open) -> None:
    page = open_page("verify.html")

    choose(page, group("obama2.jpg", "biden.jpg", heights=[900, 300]))

    expect_answer(page, "match", "Barack Obama")


def test_one_to_one(obama: Service, open_page: Open) -> None:
    register_person(obama, "biden.jpg", "Joe Biden", "biden")
    page = open_page("verify.html")

    page.get_by_label("Is it this person?").check()
    press(page, "Check now")
    expect(page.get_by_text("Enter the id of the person to compare with.")).to_be_visible()

    ask_whether_it_is(page, "obama")
    press(page, "Check now")
    expect_answer(page, "match", "Barack Obama")
    expect(page.get_by_text("Confirmed", exact=True)).to_be_visible()

    ask_whether_it_is(page, "biden")
    press(page, "Check now")
    expect_answer(page, "stranger", "This is not biden")

    ask_whether_it_is(page, "nobody")
    press(page, "Check now")
    expect_answer(page, "problem", "Nobody has this id")


def test_other_similar_people_are_named(obama: Service, open_page: Open) -> None:
    """The same face is registered under another name, through S3, where no request refuses it."""
    obama.upload("faces/barry/barry.jpg", photograph("obama2.jpg"))
    page = open_page("verify.html")

    choose(page, photograph("obama.jpg"))

    expect_answer(page, "match", "Barack Obama")
    others = page.get_by_role("region", name="Answer").get_by_role("listitem")
    expect(others).to_have_count(1)
    expect(others).to_contain_text("barry")


def test_continuous_checking_checks_everybody_who_holds_still(
    obama: Service, open_page: Open, playwright: Playwright, films: Path
) -> None:
    film = browsing.film(
        films / "visitors.y4m", photograph("obama.jpg"), photograph("biden.jpg"), seconds=3
    )
    with browsing.browser(playwright, *browsing.camera(film)) as chromium:
        page = open_page("verify.html", chromium=chromium)

        page.get_by_label("Check continuously").check()

        expect_answer(page, "match", "Barack Obama")
        expect_answer(page, "stranger", "Not recognised")
        expect_answer(page, "match", "Barack Obama")
        page.context.close()


def test_when_a_check_is_due(open_page: Open) -> None:
    """A check is due once for each picture that is still and differs from the last checked one."""
    page = open_page("verify.html", permissions=())

    events = page.evaluate(
        """async () => {
            const { StillnessDetector } = await import("/lib/stillness.js");
            const detector = new StillnessDetector();
            let noise = 0;
            const update = (grey) => {
                noise = 3 - noise; // two pictures of a camera are never identical
                return detector.update(new Float32Array(768).fill(grey + noise)) ?? "-";
            };
            const moving = [10, 40, 70, 100].map(update);
            const still = [120, 120, 120, 120, 120, 120].map(update);
            const shifted = [126, 126, 126, 126].map(update);
            const another = [60, 60, 60, 60, 60].map(update);
            return [moving, still, shifted, another].map((events) => events.join(" "));
        }"""
    )

    assert events == ["- - - -", "- - - check - -", "- - - -", "left - - check -"]
