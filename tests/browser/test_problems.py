"""The pages explain problems of the service, the network, the camera and the key.

The user can continue after each of them.
"""

import socket

import pytest
from playwright.sync_api import Page, Playwright, Route, expect

from facial_recognition.infra.pages import PagesConfig
from facial_recognition.local.pages import LocalPages
from sample_photographs import photograph
from tests.browser import browsing, gateway
from tests.browser.conftest import Open
from tests.browser.people import (
    choose,
    expect_answer,
    expect_registered,
    fill_in_person,
    item,
    press,
)
from tests.browser.people import register as choose_to_register
from tests.support.service import Service

KEY = "k3y-of-this-stage"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_the_api_is_down(running: Service, open_page: Open) -> None:
    config = PagesConfig(f"http://127.0.0.1:{closed_port()}")
    with LocalPages(config, running.aws.url, guards=running.guards) as pages:
        page = open_page("verify.html", pages=pages)
        choose(page, photograph("obama.jpg"))
        expect_answer(page, "problem", "The service does not answer")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()

        page = open_page("register.html", pages=pages)
        fill_in_person(page, "Barack Obama")
        choose_to_register(page, photograph("obama.jpg"))
        expect(item(page, "Barack Obama")).to_contain_text("The service does not answer")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_continuous_checking_stops_when_the_api_is_down(running: Service, open_page: Open) -> None:
    config = PagesConfig(f"http://127.0.0.1:{closed_port()}")
    with LocalPages(config, running.aws.url, guards=running.guards) as pages:
        page = open_page("verify.html", pages=pages)

        page.get_by_label("Check continuously").check()

        expect(page.get_by_label("Check continuously")).not_to_be_checked()
        expect_answer(page, "problem", "The service does not answer")


def test_offline_and_online_again(service: Service, open_page: Open) -> None:
    page = open_page("register.html")
    fill_in_person(page, "Barack Obama")

    page.context.set_offline(True)
    choose_to_register(page, photograph("obama.jpg"))
    expect(item(page, "Barack Obama")).to_contain_text("This device is offline")
    page.context.set_offline(False)
    press(page, "Try again")

    expect_registered(page, "Barack Obama")


def test_the_service_does_not_answer_in_time(running: Service, open_page: Open) -> None:
    asked: list[Route] = []

    def never_answer(page: Page) -> None:
        page.clock.install()
        page.route("**/verify", lambda route: asked.append(route))  # noqa: PLW0108 - Playwright

    page = open_page("verify.html", before=never_answer, permissions=())
    with page.expect_request("**/verify"):
        choose(page, photograph("obama.jpg"))
    expect(page.get_by_text("Checking …")).to_be_visible()
    page.clock.fast_forward(20_000)

    expect_answer(page, "problem", "The answer takes too long")
    assert len(asked) == 1


def test_a_busy_service_is_asked_again(service: Service, open_page: Open) -> None:
    busy = iter([True, True])

    def throttle_twice(route: Route) -> None:
        if next(busy, False):
            headers = {"Retry-After": "1", "Access-Control-Allow-Origin": "*"}
            route.fulfill(status=429, headers=headers, json={"message": "Too Many Requests"})
        else:
            route.continue_()

    page = open_page("verify.html", before=lambda page: page.route("**/verify", throttle_twice))
    choose(page, photograph("obama.jpg"))

    expect_answer(page, "stranger", "Not recognised")


@pytest.mark.parametrize("path", ["register.html", "verify.html"])
def test_the_camera_is_refused(running: Service, open_page: Open, path: str) -> None:
    page = open_page(path, permissions=())
    if path == "register.html":
        fill_in_person(page, "Barack Obama")

    press(page, "Start the camera")

    expect(page.get_by_text("The camera is not allowed", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_focused()
    page.context.grant_permissions(["camera"])
    press(page, "Try again")
    expect(page.get_by_role("button", name="Stop the camera")).to_be_visible()


def test_there_is_no_camera(running: Service, open_page: Open, playwright: Playwright) -> None:
    flag = "--use-fake-device-for-media-stream=device-count=0"
    with browsing.browser(playwright, flag) as chromium:
        page = open_page("verify.html", chromium=chromium)

        expect(page.get_by_text("There is no camera", exact=True)).to_be_visible()
        page.context.close()


def test_the_page_asks_for_the_key_once_and_again_if_it_is_wrong(
    service: Service, open_page: Open
) -> None:
    with gateway.running(service.api_url, KEY) as url:
        config = PagesConfig(url, auth="api-key")
        with LocalPages(config, service.aws.url, guards=service.guards) as pages:
            page = open_page("register.html", pages=pages)
            dialog = page.get_by_role("dialog", name="API key")
            fill_in_person(page, "Barack Obama")
            choose_to_register(page, photograph("obama.jpg"), photograph("obama2.jpg"))

            expect(dialog).to_have_count(1)  # for two photographs
            dialog.get_by_label("Key").fill("wrong")
            press(page, "Use it")
            expect(dialog).to_contain_text("The service did not accept it.")
            dialog.get_by_label("Key").fill(KEY)
            page.keyboard.press("Enter")

            recognisable = item(page, "Barack Obama").get_by_text("Recognisable")
            expect(recognisable).to_have_class(["step done"] * 2)
            page.goto(f"{pages.url}/verify.html")  # in the same tab
            choose(page, photograph("obama3.jpg"))
            expect_answer(page, "match", "Barack Obama")
            expect(dialog).to_have_count(0)
            assert page.evaluate("Object.values(localStorage)") == []

            page = open_page("verify.html", pages=pages)  # in another tab
            choose(page, photograph("obama3.jpg"))
            press(page, "Cancel")
            expect_answer(page, "problem", "A key is needed")


def test_a_rejection_without_cors_headers(service: Service, open_page: Open) -> None:
    with gateway.running(service.api_url, KEY, cors=False) as url:
        config = PagesConfig(url, auth="api-key")
        with LocalPages(config, service.aws.url, guards=service.guards) as pages:
            page = open_page("verify.html", pages=pages, errors="CORS policy")
            choose(page, photograph("obama.jpg"))
            page.get_by_label("Key", exact=True).fill("wrong")
            press(page, "Use it")
            expect_answer(page, "problem", "The service does not answer, or refuses your key")
            press(page, "Try again")
            page.get_by_label("Key", exact=True).fill(KEY)
            press(page, "Use it")

            expect_answer(page, "stranger", "Not recognised")


def test_a_token_goes_into_the_authorization_header(running: Service, open_page: Open) -> None:
    with LocalPages(
        PagesConfig(running.api_url, auth="cognito"), running.aws.url, guards=running.guards
    ) as pages:
        page = open_page("verify.html", pages=pages)
        choose(page, photograph("obama.jpg"))
        page.get_by_role("dialog", name="Access token").get_by_label("Token").fill("a.b.c")
        with page.expect_request("**/verify") as sent:
            press(page, "Use it")

        assert sent.value.header_value("Authorization") == "a.b.c"
