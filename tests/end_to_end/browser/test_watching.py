"""Pages that refresh by themselves say what is no longer so, and come back by themselves."""

import os
import signal

from playwright.sync_api import expect

REFRESHED = """(part) => new Promise((done) => addEventListener("refreshed", (event) => {
  if (event.target.matches(part)) done();
}))"""


def test_an_engine_that_dies_while_one_watches_is_away_and_comes_back(visitor_of, first_server, first_password) -> None:
    visitor = visitor_of(first_server.url)
    page = visitor.page
    visitor.sign_in("admin", first_password)
    pools = page.get_by_label("Pools", exact=True)
    expect(pools).to_contain_text("1 of 1 node healthy")
    began = page.evaluate("performance.timeOrigin")

    os.kill(first_server.engine_pid(), signal.SIGKILL)
    expect(pools).to_contain_text("0 of 1 node healthy", timeout=20_000)
    expect(pools).to_contain_text("Shown as last heard")
    expect(page.get_by_label("What needs attention")).to_contain_text("takes no requests", timeout=30_000)

    expect(pools).to_contain_text("1 of 1 node healthy", timeout=60_000)
    expect(page.get_by_label("What needs attention")).not_to_contain_text("takes no requests", timeout=30_000)
    assert page.evaluate("performance.timeOrigin") == began, "the page was loaded again"


def test_a_console_that_does_not_answer_leaves_the_page_stale_and_says_since_when(visitor) -> None:
    page = visitor.page
    page.clock.install()
    visitor.sign_in("ada")
    pools = page.get_by_label("Pools", exact=True)
    expect(pools).to_contain_text("healthy")
    visitor.context.set_offline(offline=True)
    while not pools.get_by_role("status").count():
        page.clock.run_for(2500)
    expect(pools.get_by_role("status")).to_contain_text("the console does not answer. Trying again.")
    expect(pools).to_contain_text("healthy")  # what was known stays
    visitor.context.set_offline(offline=False)
    while pools.get_by_role("status").count():
        page.clock.run_for(20_000)
    assert all("ERR_INTERNET_DISCONNECTED" in problem for problem in visitor.problems)
    visitor.problems.clear()


def test_somebody_who_was_signed_out_is_told_so_where_they_watch(visitor) -> None:
    page = visitor.page
    page.clock.install()
    visitor.sign_in("ada")
    visitor.context.clear_cookies(name="shoal_console")
    note = page.get_by_label("Pools", exact=True).get_by_role("status")
    while not note.count():
        page.clock.run_for(2500)
    expect(note).to_contain_text("You are signed out")
    assert {status for status, _ in visitor.refused} == {401}


def test_what_one_has_opened_marked_and_focused_stays_through_a_refresh(visitor) -> None:
    page = visitor.page
    visitor.sign_in("ada")
    pools = page.get_by_label("Pools", exact=True)
    node = pools.locator("article").first
    node.locator("details.models > summary").click()
    expect(node.get_by_role("table")).to_be_visible()
    link = node.get_by_role("link").first
    link.focus()
    key = link.get_attribute("data-key")
    for _ in range(2):
        page.evaluate(REFRESHED, "[data-live]")
    assert page.evaluate("document.activeElement.dataset.key") == key
    expect(node.get_by_role("table")).to_be_visible()

    concern = page.get_by_label("What needs attention").get_by_role("link").first
    concern.focus()
    address = concern.get_attribute("href")
    page.evaluate(REFRESHED, "[data-live$=attention]")
    assert page.evaluate("document.activeElement.getAttribute('href')") == address


def test_a_wide_table_stays_where_it_was_scrolled_to(visitor_of, place) -> None:
    visitor = visitor_of(place.url, width=400)
    page = visitor.page
    visitor.sign_in("ada")
    visitor.goto("/admin/nodes")
    table = page.locator("[data-live] .scroll").first
    table.evaluate("(one) => { one.scrollLeft = 120; }")
    for _ in range(2):
        page.evaluate(REFRESHED, "[data-live]")
    assert page.locator("[data-live] .scroll").first.evaluate("(one) => one.scrollLeft") == 120
