"""Measure the time from a click on "Check now" to the answer on the page.

    python -m bench.pages --photo FILE --clicks 30            (FILE shows one face)

The benchmark runs the whole service, and Chromium with a camera that shows the photograph. It
registers the photograph and clicks repeatedly. The time of a click ends with the frame that shows
the answer. The table has the medians of this time, of the request to ``/verify`` as the browser
measures it (including the CORS preflight), and of the request as the service measures it.
"""

import argparse
import logging
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import sync_playwright

from bench.tables import print_table
from facial_recognition.infra.pages import PagesConfig
from facial_recognition.local.api import LocalApi
from facial_recognition.local.pages import LocalPages
from facial_recognition.local.project import install
from localaws.server import EmbeddedAWS
from tests.browser import browsing

ROOT = Path(__file__).parent.parent
WARM_UP = 3

CLICK = """async () => {
    const answer = document.getElementById("answer");
    performance.clearResourceTimings();
    const started = performance.now();
    const answered = new Promise((resolve) => {
        // The observer ignores the previous answer: it is called for changes only.
        const observer = new MutationObserver(() => {
            if (!["match", "stranger", "problem"].includes(answer.dataset.kind)) return;
            observer.disconnect();
            resolve(answer.dataset.kind);
        });
        observer.observe(answer, { attributes: true, childList: true });
    });
    document.getElementById("check").click();
    const kind = await answered;
    await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
    const total = performance.now() - started;
    const [request] = performance
        .getEntriesByType("resource")
        .filter(({ name }) => name.endsWith("/verify"));
    return { kind, total, request: request.duration };
}"""


class ServiceTimes(logging.Handler):
    """Collects the times that the service logs for requests to ``/verify``, in milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self.milliseconds: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Collect the time from a log record, if it has one."""
        if getattr(record, "route", "") == "verify":
            self.milliseconds.append(record.__dict__["milliseconds"])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, required=True, help="a photograph of one face")
    parser.add_argument("--clicks", type=int, default=30, help="number of clicks (default: 30)")
    options = parser.parse_args()
    photograph = options.photo.read_bytes()
    times = ServiceTimes()
    logger = logging.getLogger("facial-recognition")
    with EmbeddedAWS() as aws, LocalApi(install(aws, str(ROOT))) as api:
        logger.handlers = [times]
        answer = requests.post(
            f"{api.url}/register",
            params={"name": "Somebody", "personId": "somebody"},
            data=photograph,
            headers={"Content-Type": "image/jpeg"},
            timeout=60,
        )
        answer.raise_for_status()
        aws.functions.drain()
        with LocalPages(PagesConfig(api.url), aws.url, guards=(aws.guard, api.guard)) as pages:
            clicks = measure(pages.url, photograph, WARM_UP + options.clicks)[WARM_UP:]
    if any(click["kind"] != "match" for click in clicks):
        print("error: not every click recognised the face", file=sys.stderr)
        return 1
    total = statistics.median(click["total"] for click in clicks)
    request = statistics.median(click["request"] for click in clicks)
    service = statistics.median(times.milliseconds[-len(clicks) :])
    print_table(
        [
            [f"median of {len(clicks)} clicks", "ms"],
            ["from the click to the answer on the page", f"{total:.0f}"],
            ["the request, as the browser measures it", f"{request:.0f}"],
            ["the request, as the service measures it", f"{service:.0f}"],
        ],
        "pages",
    )
    return 0


def measure(url: str, photograph: bytes, clicks: int) -> list[Any]:
    """Click ``clicks`` times, and return the kind of answer and the milliseconds of each click."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        film = browsing.film(Path(folder) / "film.y4m", photograph)
        with browsing.browser(playwright, *browsing.camera(film)) as chromium:
            page = chromium.new_context(permissions=["camera"]).new_page()
            page.goto(f"{url}/verify.html")
            page.get_by_role("button", name="Check now").wait_for()
            return [page.evaluate(CLICK) for _ in range(clicks)]


if __name__ == "__main__":
    sys.exit(main())
