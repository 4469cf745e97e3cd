"""Every page of the console, by its own table of routes: seen without a problem, and whole on a narrow screen."""

import pytest
from playwright.sync_api import ConsoleMessage

from demo.browsing import sign_in
from demo.pages import filled, name_of, routes, shots

NARROW = 400
ROUTES = [route for route in routes() if any(shot.address == route for shot in shots())]


@pytest.fixture(scope="module")
def narrow(chromium, place):
    context = chromium.new_context(viewport={"width": NARROW, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    sign_in(page, place.url, "ada")
    page.get_by_role("heading", name="Overview").wait_for()
    yield page
    context.close()


def test_the_menu_fits_a_narrow_screen_and_the_bar_shows_where_one_is(narrow, place) -> None:
    narrow.goto(place.url + filled("/audit", place.parameters))
    narrow.locator("details.menu > summary").click()
    narrow.get_by_role("button", name="Sign out").wait_for()
    assert narrow.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert narrow.get_by_role("link", name="Audit log").bounding_box()["x"] < NARROW - 40


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_a_page_fits_a_narrow_screen_and_breaks_nothing(narrow, place, route) -> None:
    problems: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "the server responded with a status of" not in message.text:
            problems.append(message.text)

    narrow.on("console", hear)
    answer = narrow.goto(place.url + filled(route, place.parameters))
    narrow.remove_listener("console", hear)
    assert answer.status == (404 if route == "/{rest:path}" else 200)
    assert problems == []
    assert narrow.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert narrow.locator("h1").count() == 1
    title = narrow.title()
    assert title.endswith(" · Shoal")
    assert not title.startswith(" ")
