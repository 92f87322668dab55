"""Run Chromium for tests, with a camera that shows photographs."""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, expect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",  # containers do not allow the sandbox
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FRAME = (640, 480)
FRAMES_PER_SECOND = 10

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}


def chromium() -> str | None:
    """Return the path of Chromium, or None if it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser(playwright: Playwright, *flags: str) -> Iterator[Browser]:
    """Run Chromium with additional command-line flags."""
    running = playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS, *flags])
    try:
        yield running
    finally:
        running.close()


def camera(file: Path) -> tuple[str, ...]:
    """Return the flags for a camera that shows a film.

    A browser context also needs the permission "camera".
    """
    return (
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={file}",
    )


def film(file: Path, *scenes: bytes, seconds: float = 1) -> Path:
    """Write photographs as a film (Y4M), and return its path. The camera repeats it endlessly.

    Args:
        file: the path of the film.
        scenes: the photographs, as JPEG or PNG files.
        seconds: the duration of each photograph.
    """
    with file.open("wb") as out:
        width, height = FRAME
        out.write(
            f"YUV4MPEG2 W{width} H{height} F{FRAMES_PER_SECOND}:1 Ip A1:1 C420jpeg\n".encode()
        )
        for scene in scenes:
            frame = _frame(scene)
            for _ in range(round(seconds * FRAMES_PER_SECOND)):
                out.write(b"FRAME\n" + frame)
    return file


def _frame(photograph: bytes) -> bytes:
    """Return a photograph in front of a plain wall, as planes of Y, U and V."""
    width, height = FRAME
    picture = Image.open(io.BytesIO(photograph)).convert("RGB")
    picture.thumbnail(FRAME)
    wall = np.full((height, width, 3), 205, np.uint8)
    top, left = (height - picture.height) // 2, (width - picture.width) // 2
    wall[top : top + picture.height, left : left + picture.width] = np.asarray(picture)
    return bytes(cv2.cvtColor(wall, cv2.COLOR_RGB2YUV_I420).tobytes())


def drop(page: Page, *paths: Path) -> None:
    """Drop files or folders onto a page, as a desktop does."""
    expect(page.locator("h1")).not_to_be_empty()  # the page's scripts have run
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": step, "x": 200, "y": 300, "data": data})
    devtools.detach()
