"""The console by keyboard alone."""

import pytest
from playwright.sync_api import expect

from demo.pages import filled

FOCUSED = """() => {
  const one = document.activeElement;
  const shown = one.matches(".hidden") ? one.nextElementSibling : one;
  const style = getComputedStyle(shown), box = shown.getBoundingClientRect();
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1 && box.width > 0 && box.height > 0;
  return [one.outerHTML.slice(0, 120), seen, one.closest("main") !== null];
}"""
ACTIONS = """() => [...document.querySelectorAll("a[href], button, summary, input, select, textarea")]
  .filter((one) => one.checkVisibility() && one.type !== "hidden" && one.tabIndex >= 0 && !one.disabled
    && !(one.type === "radio" && !one.checked))
  .map((one) => one.outerHTML.slice(0, 120))"""
PAGES = ("/", "/tenants/{tenant}", "/tenants/{tenant}/limits", "/models/at/{model}", "/tenants/{tenant}/keys/new")


@pytest.mark.parametrize("address", PAGES)
def test_tab_reaches_every_action_and_shows_where_it_is(visitor, place, address) -> None:
    visitor.sign_in("ada")
    page = visitor.page
    page.route("**/*", lambda route: route.abort() if route.request.headers.get("x-live") else route.continue_())
    visitor.goto(filled(address, place.parameters))
    wanted, reached, unseen = set(page.evaluate(ACTIONS)), set(), []
    for _ in range(3 * len(wanted)):
        page.keyboard.press("Tab")
        markup, seen, _ = page.evaluate(FOCUSED)
        if markup.startswith("<body"):
            break
        reached.add(markup)
        if not seen:
            unseen.append(markup)
    assert wanted - reached == set()
    assert unseen == []
    visitor.problems.clear()  # the refreshes that were cut off


def test_the_first_tab_offers_to_skip_what_all_pages_begin_with(visitor) -> None:
    visitor.sign_in("ada")
    page = visitor.page
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED)[2], "not in the page's own part"


def test_a_dialog_holds_the_focus_and_gives_it_back(visitor, place) -> None:
    visitor.sign_in("ada")
    page = visitor.page
    visitor.goto(filled("/tenants/{suspended}", place.parameters))
    page.get_by_role("button", name="Resume").focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_contain_text("Fjord Travel")

    opener = page.get_by_role("link", name="Suspend")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Suspend Fjord Travel?")
    expect(dialog).to_be_visible()
    assert dialog.evaluate("(one) => one.contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()

    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Suspend").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("is suspended")


def test_the_menu_of_the_signed_in_opens_closes_and_chooses_a_theme(visitor) -> None:
    visitor.sign_in("ada")
    page = visitor.page
    summary = page.locator("details.menu > summary").first
    summary.focus()
    page.keyboard.press("Enter")
    dark = page.get_by_role("button", name="dark")
    expect(dark).to_be_visible()
    page.keyboard.press("Escape")
    expect(dark).to_be_hidden()
    expect(summary).to_be_focused()

    page.keyboard.press("Space")
    dark.focus()
    page.keyboard.press("Space")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_slash_begins_a_search(visitor) -> None:
    visitor.sign_in("ada")
    visitor.goto("/admin/models")
    visitor.page.keyboard.press("/")
    visitor.page.keyboard.type("rerank")
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.get_by_role("link", name="BAAI/bge-reranker-v2-m3")).to_be_visible()
    expect(visitor.page.get_by_role("link", name="BAAI/bge-m3")).to_have_count(0)
