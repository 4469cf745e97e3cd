"""Pages that refresh by themselves say what is no longer so, and come back by themselves."""

import os
import signal

from playwright.sync_api import Locator, expect


def let_be_swapped(visitor, part: Locator) -> None:
    """Let the page's time pass until a part of it has been replaced."""
    part.evaluate("(one) => { one.firstElementChild.dataset.old = ''; }")
    visitor.pass_time(lambda: part.locator("> [data-old]").count() == 0, "what took its place")


def test_an_engine_that_dies_while_one_watches_is_away_and_comes_back(visitor_of, first_server, first_password) -> None:
    visitor = visitor_of(first_server.url)
    page = visitor.page
    page.clock.install()
    visitor.sign_in("admin", first_password)
    pools, attention = page.get_by_label("Pools", exact=True), page.get_by_label("What needs attention")
    expect(pools).to_contain_text("1 of 1 node healthy")
    expect(attention).not_to_contain_text("takes no requests")
    page.evaluate("window.mark = 'the same page'")

    def is_missed() -> bool:
        if pid := first_server.engine_pid():  # it is started again at once
            os.kill(pid, signal.SIGKILL)
        return "0 of 1 node healthy" in pools.inner_text() and "takes no requests" in attention.inner_text()

    visitor.pass_time(is_missed, "the engine is away")
    expect(pools).to_contain_text("Shown as last heard")

    def is_back() -> bool:
        return "1 of 1 node healthy" in pools.inner_text() and "takes no requests" not in attention.inner_text()

    visitor.pass_time(is_back, "the engine is back")
    assert page.evaluate("window.mark") == "the same page", "the page was loaded again"


def test_a_console_that_does_not_answer_leaves_the_page_stale_and_says_since_when(visitor) -> None:
    page = visitor.page
    page.clock.install()
    visitor.sign_in("ada")
    pools = page.get_by_label("Pools", exact=True)
    note = pools.get_by_role("status")
    expect(pools).to_contain_text("healthy")
    visitor.context.set_offline(offline=True)
    visitor.pass_time(lambda: note.count() == 1, "that the console does not answer")
    expect(note).to_contain_text("the console does not answer. Trying again.")
    expect(pools).to_contain_text("healthy")  # what was known stays
    visitor.context.set_offline(offline=False)
    visitor.pass_time(lambda: note.count() == 0, "that it answers again")
    assert all("ERR_INTERNET_DISCONNECTED" in problem for problem in visitor.problems)
    visitor.problems.clear()


def test_somebody_who_was_signed_out_is_told_so_where_they_watch(visitor) -> None:
    page = visitor.page
    page.clock.install()
    visitor.sign_in("ada")
    pools = page.get_by_label("Pools", exact=True)
    expect(pools).to_contain_text("healthy")
    visitor.context.clear_cookies(name="shoal_console")
    note = pools.get_by_role("status")
    visitor.pass_time(lambda: note.count() == 1, "that one is signed out")
    expect(note).to_contain_text("You are signed out")
    assert {status for status, _ in visitor.refused} == {401}


def test_what_one_has_opened_marked_and_focused_stays_through_a_refresh(visitor) -> None:
    page = visitor.page
    page.clock.install()
    visitor.sign_in("ada")
    pools = page.get_by_label("Pools", exact=True)
    node = pools.locator("article").first
    node.locator("details.models > summary").click()
    expect(node.get_by_role("table")).to_be_visible()
    link = node.get_by_role("link").first
    link.focus()
    key = link.get_attribute("data-key")
    for _ in range(2):
        let_be_swapped(visitor, pools)
    assert page.evaluate("document.activeElement.dataset.key") == key
    expect(node.get_by_role("table")).to_be_visible()


def test_a_concern_that_has_the_focus_keeps_it_through_a_refresh(visitor) -> None:
    page = visitor.page
    page.clock.install()
    visitor.sign_in("ada")
    attention = page.get_by_label("What needs attention")
    concern = attention.get_by_role("link").first
    concern.focus()
    address = concern.get_attribute("href")
    let_be_swapped(visitor, attention)
    assert page.evaluate("document.activeElement.getAttribute('href')") == address


def test_a_wide_table_stays_where_it_was_scrolled_to(visitor_of, place) -> None:
    visitor = visitor_of(place.url, width=400)
    page = visitor.page
    page.clock.install()
    visitor.sign_in("ada")
    visitor.goto("/admin/nodes")
    part = page.locator("[data-live]").filter(has=page.locator(".scroll")).first
    table = part.locator(".scroll").first
    table.evaluate("(one) => { one.scrollLeft = 120; }")
    for _ in range(2):
        let_be_swapped(visitor, part)
    assert table.evaluate("(one) => one.scrollLeft") == 120
