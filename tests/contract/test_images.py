"""Broken and odd images: each gets the right response, quickly and with little memory."""

import resource
import time
import tracemalloc

import pytest

from chalicelib import images
from chalicelib.errors import Problem
from facial_recognition.local.project import Project, set_up
from sample_photographs import photograph, resized, rotated
from tests.contract.answers import assert_headers
from tests.contract.corpus import RECOGNISED, Answers, Odd, odd_images
from tests.support.service import Service


@pytest.fixture(scope="module")
def club(running: Service, project: Project) -> Service:
    """The service with one person registered, for tests that only verify."""
    running.aws.reset()
    set_up(project)
    for image in ("obama.jpg", "obama3.jpg"):
        answer = running.register(photograph(image), name="Barack Obama", personId="obama")
        assert answer.status_code == 201, answer.text
    running.settle()
    return running


def test_the_corpus_is_large() -> None:
    names = [odd.name for odd in odd_images()]

    assert len(names) >= 200
    assert len(set(names)) == len(names)


def refusal(odd: Odd) -> Answers:
    """Return the problem for which the check of the headers refuses an image, if it does."""
    try:
        images.from_bytes(odd.data)
    except Problem as problem:
        return frozenset({(int(problem.status), problem.code)})
    return frozenset()


def test_headers_are_checked_in_little_time_and_memory() -> None:
    for odd in odd_images():
        # Other threads of this process may need memory at the same time, but not at every try.
        assert any(is_checked_cheaply(odd) for _ in range(3)), odd.name


def is_checked_cheaply(odd: Odd) -> bool:
    tracemalloc.start()
    before = time.thread_time()
    assert refusal(odd) <= odd.answers, odd.name
    seconds = time.thread_time() - before
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds < 1.0 and most < 1024**2


def test_every_image_gets_the_right_response(club: Service) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wrong = []
    for odd in odd_images():
        started = time.monotonic()
        answer = club.post("verify", data=odd.data, headers={"Content-Type": "image/jpeg"})
        seconds = time.monotonic() - started
        assert_headers(answer.headers)
        body = answer.json()
        got = answer.status_code, body.get("code", "")
        is_right = got in odd.answers and odd.words in body.get("detail", "")
        if odd.answers == RECOGNISED:
            is_right = is_right and body["person"]["personId"] == "obama"
        if not is_right or seconds > 10:
            wrong.append((odd.name, got, body, round(seconds, 1)))
    assert wrong == []
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1024 * 1024  # KiB


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_person_is_recognised_in_every_orientation(club: Service, orientation: int) -> None:
    assert club.whose(rotated(resized(photograph("obama2.jpg"), 900), orientation)) == "obama"
