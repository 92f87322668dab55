"""Broken and odd images: each gets the answer that is right, soon, and in little memory."""

import resource
import time
import tracemalloc

import pytest

from chalicelib import images
from chalicelib.errors import Problem
from tests.contract.answers import assert_headers
from tests.contract.corpus import REGISTERED, odd_images
from tests.photographs import photograph, resized, rotated
from tests.service import Service


def test_the_corpus_is_large() -> None:
    names = [odd.name for odd in odd_images()]

    assert len(names) >= 200
    assert len(set(names)) == len(names)


def test_every_image_is_judged_by_its_headers_in_little_time_and_memory() -> None:
    for odd in odd_images():
        tracemalloc.start()
        before = time.process_time()
        try:
            images.from_bytes(odd.data)
        except Problem as problem:
            assert (int(problem.status), problem.code) in odd.answers, odd.name
        seconds = time.process_time() - before
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seconds < 1.0, odd.name
        assert most < 1024**2, odd.name


def test_every_image_gets_its_answer(service: Service) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wrong = []
    for odd in odd_images():
        started = time.monotonic()
        answer = service.post(
            "register",
            data=odd.data,
            params={"name": "Barack Obama", "personId": "obama"},
            headers={"Content-Type": "image/jpeg"},
        )
        seconds = time.monotonic() - started
        assert_headers(answer.headers)
        body = answer.json()
        got = answer.status_code, body.get("code", "")
        if (
            (got not in odd.answers and not (got[0] == 200 and odd.answers == REGISTERED))
            or (got[0] >= 400 and odd.words not in body["detail"])
            or seconds > 10
        ):
            wrong.append((odd.name, got, body.get("detail"), round(seconds, 1)))
    assert wrong == []
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1024 * 1024  # KiB


@pytest.mark.parametrize("orientation", range(1, 9))
def test_however_the_camera_was_held_it_is_the_same_person(
    running: Service, obama: None, orientation: int
) -> None:
    assert running.whose(rotated(resized(photograph("obama2.jpg"), 900), orientation)) == "obama"


@pytest.fixture(scope="module")
def obama(running: Service, project: object) -> None:
    """Somebody who is registered, for all tests that only verify."""
