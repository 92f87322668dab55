"""Make screenshots of every state of the pages, for the README: ``make screenshots``.

The repository must not contain photographs of people. The pages work with real photographs, and a
drawn figure replaces each of them before a screenshot is taken.
"""

import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from sample_photographs import group, landscape, photograph, resized
from tests.browser import browsing, whole
from tests.browser.people import (
    choose,
    expect_answer,
    expect_registered,
    fill_in_person,
    press,
    register,
)
from tests.support.paths import ROOT

FOLDER = ROOT / "docs" / "screenshots"
SCHEMES = ("light", "dark")
WINDOWS = {"desktop": {"width": 1080, "height": 700}, "phone": browsing.PHONE}
MAX_WIDTH = 720
"""Width of a screenshot in pixels. The README shows it even smaller."""
QUALITY = 50
CLUB = ("Alan Turing", "Emmy Noether", "Grace Hopper", "Mary Jackson")

FIGURES = (Path(__file__).parent / "figures.js").read_text()


class Photographer:
    """Takes screenshots in one window size, in both colour schemes.

    Args:
        chromium: the browser.
        window: the window size, a key of ``WINDOWS``.
    """

    def __init__(self, chromium: Browser, window: str) -> None:
        self._window = window
        self._context = chromium.new_context(
            viewport=WINDOWS[window],  # type: ignore[arg-type]
            permissions=["camera"],
            reduced_motion="reduce",
        )

    @contextmanager
    def page(self, url: str, **options: Any) -> Iterator[Page]:
        """Open a page. The options map URL patterns to handlers of requests."""
        page = self._context.new_page()
        for pattern, handler in options.items():
            page.route(pattern, handler)
        page.goto(url)
        expect(page.locator("h1")).not_to_be_empty()
        yield page
        page.close()

    def take(self, page: Page, state: str, *, full_page: bool = True) -> None:
        """Make a screenshot in each colour scheme."""
        page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)")
        page.mouse.move(0, 0)
        page.evaluate(FIGURES)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            picture = Image.open(io.BytesIO(page.screenshot(full_page=full_page)))
            file = FOLDER / f"{state}-{self._window}-{scheme}.webp"
            picture.thumbnail((MAX_WIDTH, picture.height), Image.Resampling.LANCZOS)
            picture.convert("RGB").save(file, quality=QUALITY, method=6)

    def refuse_camera(self) -> None:
        """Refuse the camera to all pages from now on."""
        self._context.clear_permissions()


def main() -> int:
    """Delete the old screenshots, and take all of them again."""
    if browsing.chromium() is None:
        print(
            "error: Chromium is not installed; install it (Debian: apt-get install chromium)",
            file=sys.stderr,
        )
        return 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    expect.set_options(timeout=20_000)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        film = browsing.film(Path(folder) / "film.y4m", photograph("obama.jpg"))
        with browsing.browser(playwright, *browsing.camera(film)) as chromium:
            for window in WINDOWS:
                with whole.running(DUPLICATE_FACE_THRESHOLD="0") as service:
                    photographer = Photographer(chromium, window)
                    # The club comes last, because all of its members have the same face.
                    for states in (home, registering, verifying, failing, club):
                        states(photographer, service.pages_url, Path(folder) / window)
    size = sum(file.stat().st_size for file in FOLDER.iterdir())
    print(f"{len(list(FOLDER.iterdir()))} screenshots, {size / 1e6:.2f} MB, in {FOLDER}")
    return 0


def home(photographer: Photographer, url: str, folder: Path) -> None:
    """The start page."""
    with photographer.page(url) as page:
        photographer.take(page, "home")


def registering(photographer: Photographer, url: str, folder: Path) -> None:
    """One person, registered with the camera and with files."""
    with photographer.page(f"{url}/register.html") as page:
        photographer.take(page, "register")
        press(page, "Choose photographs")
        photographer.take(page, "register-incomplete")
        fill_in_person(page, "Ada Lovelace")
        press(page, "Start the camera")
        expect(page.get_by_role("button", name="Take the photograph")).to_be_visible()
        photographer.take(page, "register-camera")
        press(page, "Take the photograph")
        expect_registered(page, "Ada Lovelace")
        register(page, group("obama.jpg", "biden.jpg"))
        expect(page.get_by_text("1 of 2 photographs registered, 1 failed")).to_be_visible()
        photographer.take(page, "registered")


def club(photographer: Photographer, url: str, folder: Path) -> None:
    """A club, registered from folders. Two members fail at first."""
    for number, name in enumerate(CLUB):
        (folder / name).mkdir(parents=True)
        (folder / name / "portrait.jpg").write_bytes(
            resized(photograph("obama2.jpg"), 600 + number)
        )
    unlucky = iter([True, True])

    def fail_twice(route: Route) -> None:
        (route.abort if next(unlucky, False) else route.continue_)()

    with photographer.page(f"{url}/register.html", **{"**/register?*": fail_twice}) as page:
        page.get_by_label("They know this, and they agree.").check()
        browsing.drop(page, folder)
        expect(page.get_by_text("2 of 4 photographs registered, 2 failed")).to_be_visible()
        photographer.take(page, "register-club")


def verifying(photographer: Photographer, url: str, folder: Path) -> None:
    """Every kind of answer."""
    with photographer.page(f"{url}/verify.html") as page:
        expect(page.get_by_role("button", name="Check now")).to_be_visible()
        photographer.take(page, "verify")
        answers: list[tuple[Callable[[], None], str, str, str]] = [
            (lambda: press(page, "Check now"), "match", "Ada Lovelace", "verify-match"),
            (
                lambda: choose(page, photograph("biden.jpg")),
                "stranger",
                "Not recognised",
                "verify-stranger",
            ),
            (lambda: choose(page, landscape()), "problem", "No face found", "verify-no-face"),
        ]
        for act, kind, text, state in answers:
            act()
            expect_answer(page, kind, text)
            photographer.take(page, state)
        page.get_by_label("Is it this person?").check()
        page.get_by_label("Person id").fill("ada-lovelace")
        press(page, "Check now")
        expect(page.get_by_text("Confirmed", exact=True)).to_be_visible()
        photographer.take(page, "verify-one-to-one")


def failing(photographer: Photographer, url: str, folder: Path) -> None:
    """The dialog for the key, an API that does not answer, and a refused camera."""
    config = b'export const config = {apiUrl: "/api", auth: "api-key", languages: ["en"]};'
    with photographer.page(
        f"{url}/verify.html",
        **{
            "**/config.js": lambda route: route.fulfill(
                body=config, content_type="text/javascript"
            ),
        },
    ) as page:
        choose(page, photograph("biden.jpg"))
        expect(page.get_by_role("dialog", name="API key")).to_be_visible()
        photographer.take(page, "key", full_page=False)
    with photographer.page(
        f"{url}/verify.html", **{"**/verify": lambda route: route.abort()}
    ) as page:
        choose(page, photograph("biden.jpg"))
        expect_answer(page, "problem", "The service does not answer")
        photographer.take(page, "api-down")
    photographer.refuse_camera()
    with photographer.page(f"{url}/verify.html") as page:
        press(page, "Start the camera")
        expect(page.get_by_text("The camera is not allowed", exact=True)).to_be_visible()
        photographer.take(page, "camera-refused")


if __name__ == "__main__":
    sys.exit(main())
