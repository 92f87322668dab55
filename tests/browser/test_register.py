"""The page for registering people."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from sample_photographs import (
    encoded,
    group,
    landscape,
    opened,
    photograph,
    resized,
    rotated,
)
from tests.browser.browsing import DESKTOP, PHONE, drop
from tests.browser.conftest import Open
from tests.browser.people import expect_registered, fill_in_person, item, press, register
from tests.browser.whole import WholeService
from tests.support.service import BUCKET, Service


def stored(service: Service, key: str) -> bytes:
    return bytes(service.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_by_camera(service: Service, open_page: Open, viewport: Any) -> None:
    page = open_page("register.html", viewport=viewport)

    fill_in_person(page, "Barack Obama")
    press(page, "Start the camera")
    press(page, "Take the photograph")

    expect_registered(page, "Barack Obama")
    assert service.whose(photograph("obama2.jpg")) == "barack-obama"
    box = page.locator(".face-box").bounding_box()
    picture = page.locator(".item img").bounding_box()
    assert box is not None
    assert picture is not None
    assert picture["y"] <= box["y"]
    assert box["y"] + box["height"] <= picture["y"] + picture["height"] * 0.6  # he stands
    (key,) = service.objects()
    assert key.startswith("faces/barack-obama/")
    assert (service.photograph(key) or {})["consent"] == "pages-en-1"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_by_several_files_at_once(service: Service, open_page: Open) -> None:
    page = open_page("register.html")

    fill_in_person(page, "Barack Obama", "obama")
    register(page, photograph("obama.jpg"), photograph("obama2.jpg"))

    expect(item(page, "Barack Obama").get_by_text("Recognisable")).to_have_class(["step done"] * 2)
    expect(page.get_by_text("2 of 2 photographs registered")).to_be_visible()
    assert len(service.faces()) == 2
    service.settle()
    service.assert_consistent()


def test_by_a_dropped_file(service: Service, open_page: Open, tmp_path: Path) -> None:
    file = tmp_path / "portrait.jpg"
    file.write_bytes(photograph("biden.jpg"))
    page = open_page("register.html")

    fill_in_person(page, "Joe Biden")
    drop(page, file)

    expect_registered(page, "Joe Biden")
    assert service.whose(photograph("biden.jpg")) == "joe-biden"


def test_nothing_is_taken_or_sent_before_consent(service: Service, open_page: Open) -> None:
    page = open_page("register.html")
    methods: set[str] = set()
    page.on("request", lambda request: methods.add(request.method))

    page.get_by_label("Name").fill("Barack Obama")
    press(page, "Start the camera")

    expect(page.get_by_text("Ask the person for consent, then tick this box.")).to_be_visible()
    expect(page.get_by_label("They know this, and they agree.")).to_be_focused()
    assert page.evaluate("document.querySelector('video').srcObject") is None
    press(page, "Choose photographs")
    assert methods <= {"GET"}  # requests for the page's icons


def test_a_name_and_a_valid_id_are_required(service: Service, open_page: Open) -> None:
    page = open_page("register.html")

    press(page, "Choose photographs")
    expect(page.get_by_text("Enter the name first.")).to_be_visible()
    expect(page.get_by_label("Name")).to_be_focused()

    fill_in_person(page, "Ada", "ada lovelace")
    press(page, "Choose photographs")
    expect(page.get_by_label("Person id")).to_be_focused()
    expect(page.get_by_label("Person id")).to_have_accessible_description(
        re.compile(
            re.escape("This id is not valid. Use only letters, digits, and . _ - (at most 64).")
            + "$"
        )
    )


def test_an_id_is_suggested(running: Service, open_page: Open) -> None:
    page = open_page("register.html")

    for name, person_id in [
        ("Ada Lovelace", "ada-lovelace"),
        ("  José  Núñez ", "jose-nunez"),
        ("山田", "i9d-n5c"),
        ("x" * 80, "x" * 64),
    ]:
        page.get_by_label("Name").fill(name)
        expect(page.get_by_label("Person id")).to_have_value(person_id)


@pytest.mark.parametrize(
    ("content", "title", "advice"),
    [
        (landscape(), "No face found", "Move closer"),
        (
            group("obama.jpg", "biden.jpg"),
            "The photograph shows several faces",
            "Take one with only this person.",
        ),
        (resized(photograph("obama.jpg"), 150), "The face is not clear enough", "too small"),
        (b"no photograph at all", "This file cannot be read as a photograph", "JPEG or PNG"),
    ],
    ids=["no face", "two faces", "small face", "no photograph"],
)
def test_an_unusable_photograph_is_explained(
    service: Service, open_page: Open, content: bytes, title: str, advice: str
) -> None:
    page = open_page("register.html")

    fill_in_person(page, "Barack Obama")
    register(page, content)

    expect(item(page, "Barack Obama")).to_contain_text(title)
    expect(item(page, "Barack Obama")).to_contain_text(advice)
    expect(page.get_by_text("0 of 1 photograph registered, 1 failed")).to_be_visible()
    assert service.objects() == []


def test_a_large_photograph_held_sideways(service: Service, open_page: Open) -> None:
    """The page scales a photograph of 12 megapixels down, and applies its EXIF orientation."""
    large = rotated(resized(photograph("obama.jpg"), 4100), 6)
    width, height = Image.open(io.BytesIO(large)).size
    assert width * height > 12_000_000
    assert width > height
    page = open_page("register.html")

    fill_in_person(page, "Barack Obama")
    register(page, large)

    expect_registered(page, "Barack Obama")
    (key,) = service.objects()
    sent = Image.open(io.BytesIO(stored(service, key)))
    assert (sent.height, sent.width) == (1600, round(1600 * height / width))
    assert sent.getexif().get(0x0112, 1) == 1
    assert service.whose(photograph("obama2.jpg")) == "barack-obama"


def test_a_photograph_too_large_for_a_request_is_uploaded(
    service: Service, open_page: Open
) -> None:
    large = encoded(opened(resized(photograph("obama.jpg"), 1500)), "PNG", compress_level=0)
    assert 4 * 1024 * 1024 < len(large) < 15 * 1024 * 1024
    page = open_page("register.html")

    fill_in_person(page, "Barack Obama", "obama")
    page.get_by_label("Keep the photographs as they are").check()
    register(page, large)

    expect_registered(page, "Barack Obama")
    (key,) = service.objects()
    assert key.endswith(".png")
    assert stored(service, key) == large
    assert service.items()[f"image#{key}"]["name"] == "Barack Obama"


def test_an_upload_without_a_face_is_reported(service: Service, open_page: Open) -> None:
    large = encoded(opened(landscape(1400, 1050)), "PNG", compress_level=0)
    assert len(large) > 4 * 1024 * 1024
    page = open_page("register.html")

    fill_in_person(page, "Barack Obama", "obama")
    page.get_by_label("Keep the photographs as they are").check()
    register(page, large)

    expect(item(page, "Barack Obama")).to_contain_text("No face found")


def test_a_face_that_is_registered_already_can_be_added_there(
    service: Service, open_page: Open
) -> None:
    service.register(photograph("obama.jpg"), name="Barack Obama", personId="44")
    service.settle()
    page = open_page("register.html")

    fill_in_person(page, "Barack Obama", "obama")
    register(page, photograph("obama.jpg"))
    expect(item(page, "Barack Obama")).to_contain_text("This face is registered already")
    press(page, "Add it to 44")

    expect_registered(page, "Barack Obama")
    assert service.whose(photograph("obama2.jpg")) == "44"


def test_two_people_of_one_name_are_kept_apart(service: Service, open_page: Open) -> None:
    service.register(photograph("obama.jpg"), name="Joe", personId="joe")
    service.settle()
    page = open_page("register.html")

    fill_in_person(page, "Joe")
    register(page, photograph("biden.jpg"))
    expect(item(page, "Joe")).to_contain_text("Somebody else has this id")
    press(page, "Register as joe-2")

    expect_registered(page, "Joe")
    assert service.whose(photograph("biden.jpg")) == "joe-2"


def test_the_user_can_confirm_that_it_is_the_same_person(service: Service, open_page: Open) -> None:
    service.register(photograph("biden.jpg"), name="Joe", personId="joe")
    service.settle()
    page = open_page("register.html")

    fill_in_person(page, "Joe")
    register(page, photograph("obama.jpg"), photograph("obama2.jpg"))
    expect(item(page, "Joe").get_by_text("Somebody else has this id")).to_have_count(2)
    page.get_by_role("button", name="It is the same person: add it").first.click()
    expect(page.get_by_text("1 of 2 photographs registered, 1 failed")).to_be_visible()
    page.get_by_role("button", name="It is the same person: add it").click()

    expect(page.get_by_text("2 of 2 photographs registered", exact=True)).to_be_visible()
    assert {key.split("/")[1] for key in service.objects()} == {"joe"}


def test_files_without_a_photograph_are_reported(
    running: Service, open_page: Open, tmp_path: Path
) -> None:
    file = tmp_path / "minutes.pdf"
    file.write_bytes(b"%PDF-1.7")
    page = open_page("register.html")

    fill_in_person(page, "Joe")
    drop(page, file)

    expect(
        page.get_by_text("None of these files is a photograph. Choose others.").first
    ).to_be_visible()


def test_with_the_keyboard_alone(service: Service, open_page: Open, tmp_path: Path) -> None:
    page = open_page("register.html")
    focus = page.locator(":focus")

    page.keyboard.press("Tab")
    expect(focus).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("Barack Obama")
    page.keyboard.press("Tab")
    expect(focus).to_have_value("barack-obama")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    expect(focus).to_have_text("Start the camera")
    page.keyboard.press("Enter")
    expect(focus).to_have_text("Take the photograph")
    page.keyboard.press("Enter")

    expect_registered(page, "Barack Obama")
    expect(page.locator("#announcements")).to_have_text("Barack Obama is registered.")
    expect(focus).to_have_text("Take the photograph")  # ready for the next one


@pytest.fixture
def club(tmp_path: Path) -> tuple[Path, list[str]]:
    """A folder with one folder per person, and the names of the 20 people."""
    names = [f"Member {number:02}" for number in range(1, 21)]
    for number, name in enumerate(names):
        folder = tmp_path / "club" / name
        folder.mkdir(parents=True)
        portrait = photograph("obama.jpg" if number % 2 else "biden.jpg")
        (folder / "portrait.jpg").write_bytes(resized(portrait, 400 + 2 * number))
        (folder / ".DS_Store").write_bytes(b"not a photograph")
    return tmp_path / "club", names


def test_a_club_of_twenty_dropped_at_once(
    whole: WholeService, open_page: Open, club: tuple[Path, list[str]]
) -> None:
    folder, names = club
    page = open_page("register.html", pages=whole.pages_url)
    unlucky = iter([True, True])

    def fail_twice(route: Route) -> None:
        if next(unlucky, False):
            route.abort()
        else:
            route.continue_()

    page.route("**/register?*", fail_twice)
    page.get_by_label("They know this, and they agree.").check()
    drop(page, folder)

    expect(page.get_by_text("18 of 20 photographs registered, 2 failed")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_js_property("value", 20)
    press(page, "Try 2 photographs again")
    expect(page.get_by_text("20 of 20 photographs registered", exact=True)).to_be_visible()
    for name in names:
        expect_registered(page, name)
    keys = whole.photographs()
    assert sorted(key.split("/")[1] for key in keys) == [
        name.lower().replace(" ", "-") for name in names
    ]


def test_a_folder_can_be_chosen_too(
    service: Service, open_page: Open, club: tuple[Path, list[str]]
) -> None:
    folder, names = club
    page = open_page("register.html")

    page.get_by_label("They know this, and they agree.").check()
    with page.expect_file_chooser() as chooser:
        press(page, "Choose a folder")
    chooser.value.set_files(folder / names[0])

    expect_registered(page, names[0])


def test_the_next_person_starts_with_an_empty_form(service: Service, open_page: Open) -> None:
    page = open_page("register.html")
    fill_in_person(page, "Barack Obama")
    register(page, photograph("obama.jpg"))
    expect_registered(page, "Barack Obama")

    press(page, "Register the next person")

    expect(page.get_by_label("Name")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value("")
    expect(page.get_by_label("They know this, and they agree.")).not_to_be_checked()
    _expect_no_question_on_leaving(page)


def _expect_no_question_on_leaving(page: Page) -> None:
    """Expect that the page can be left without a question, because nothing is running."""
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.goto("about:blank")
    assert asked == []
