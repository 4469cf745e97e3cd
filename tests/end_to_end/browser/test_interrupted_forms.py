"""What is typed into a form is not lost: neither to a session that ends, nor to another tab, nor to mistakes."""

import pytest
from playwright.sync_api import expect

from demo.customers import PASSWORD


@pytest.mark.parametrize("scripted", [True, False], ids=["script", "no script"])
def test_a_session_that_ends_in_mid_form_costs_a_sign_in_and_nothing_else(visitor_of, place, scripted) -> None:
    visitor = visitor_of(place.url, scripted=scripted)
    page = visitor.page
    visitor.sign_in("ada")
    visitor.goto("/admin/tenants/new")
    name = f"Saltworks {scripted} <b>&"
    page.get_by_label("Name").fill(name)
    page.get_by_label("Models that it may use").fill("BAAI/*\nintfloat/e5*")
    page.get_by_label("Weight").fill("2.5")

    other = visitor.context.new_page()
    other.goto(f"{place.url}/admin")
    other.locator("details.menu > summary").click()
    other.get_by_role("button", name="Sign out").click()
    expect(other).to_have_title("Sign in · Shoal")

    page.get_by_role("button", name="Make the tenant").click()
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended")
    page.get_by_label("Operator").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("main")).to_contain_text(name)
    page.get_by_role("button", name="Send it now").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_label("Weight")).to_have_value("2.5")
    assert [status for status, _ in visitor.refused] == [401]

    page.go_back()
    page.get_by_role("link", name="Delete").click()
    page.get_by_label("Type its name").fill(name)
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("status")).to_contain_text("is deleted")


def test_two_tabs_that_change_one_thing_see_each_other(visitor, place) -> None:
    page = visitor.page
    visitor.sign_in("ada")
    visitor.goto("/admin/tenants/new")
    page.get_by_label("Name").fill("Two Tabs")
    page.get_by_role("button", name="Make the tenant").click()
    home = page.url
    mine, other = page, visitor.context.new_page()
    for tab in (mine, other):
        tab.goto(f"{home}/settings")
    other.get_by_label("Weight").fill("4")
    other.get_by_role("button", name="Save").click()
    expect(other.get_by_role("status")).to_contain_text("are saved")

    mine.get_by_label("Name").fill("Three Tabs")
    mine.get_by_label("Weight").fill("0.5")
    mine.get_by_role("button", name="Save").click()
    expect(mine.get_by_role("alert")).to_contain_text("Somebody changed this meanwhile")
    expect(mine.get_by_label("Name")).to_have_value("Three Tabs")
    expect(mine.get_by_label("Weight")).to_have_value("0.5")
    expect(mine.locator("main")).to_contain_text("Saved now: 4")
    other.reload()
    expect(other.get_by_role("heading", level=1)).to_have_text("Two Tabs")
    assert [status for status, _ in visitor.refused] == [409]

    mine.get_by_role("button", name="Save").click()
    expect(mine.get_by_role("heading", level=1)).to_have_text("Three Tabs")
    mine.get_by_role("link", name="Delete").click()
    mine.get_by_label("Type its name").fill("Three Tabs")
    mine.get_by_role("button", name="Delete for good").click()
    expect(mine.get_by_role("status")).to_contain_text("is deleted")


def test_a_form_with_every_field_wrong_says_all_of_it_and_keeps_what_was_typed(visitor) -> None:
    page = visitor.page
    visitor.sign_in("ada")
    visitor.goto("/admin/tenants/new")
    typed = {"Name": "<script>alert(1)</script>\t", "Models that it may use": "a b\n\x07", "Weight": "heavy"}
    for label, text in typed.items():
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Make the tenant").click()
    expect(page.get_by_role("alert")).to_be_focused()
    for label, text in typed.items():
        field = page.get_by_label(label)
        expect(field).to_have_value(text)
        if label != "Name":
            expect(field).to_have_attribute("aria-invalid", "true")
            said = page.locator(f"#{field.get_attribute('aria-describedby').split()[-1]}")
            assert said.inner_text()
    assert [status for status, _ in visitor.refused] == [422]
