"""From the first password to the audit log, in a browser, against `shoal serve` with the starter model."""

import re
import subprocess
import sys

import httpx
import pytest
from playwright.sync_api import expect

LIMIT = 3
"""Requests per minute."""


class Journey:
    """An operator who has just started Shoal."""

    def __init__(self, visitor, name: str) -> None:
        self.visitor, self.page = visitor, visitor.page
        self.model, self.tenant = f"starter-{name}", f"Acme {name}"
        self.key = ""

    def go(self, link: str) -> None:
        self.page.get_by_role("navigation", name="Pages", exact=True).get_by_role("link", name=link).click()

    def press(self, role: str, name: str) -> None:
        self.page.get_by_role(role, name=name, exact=True).click()

    def type(self, **fields: str) -> None:
        for label, text in fields.items():
            self.page.get_by_label(label.replace("_", " ")).fill(text)

    def wait_for(self, text: str | re.Pattern[str]) -> None:
        self.visitor.until(self.page.get_by_text(text).first.is_visible, f"{text} is shown")

    def requests_of_the_hour(self) -> int:
        figure = self.page.locator("dt", has_text=re.compile("^Requests$")).locator("xpath=..").locator("b")
        return int(figure.inner_text().replace(",", ""))

    def sign_in_for_the_first_time(self, password: str) -> None:
        self.visitor.goto("/admin")
        expect(self.page).to_have_title("Sign in · Shoal")
        self.visitor.sign_in("admin", password)
        expect(self.page.get_by_role("heading", name="Overview")).to_be_visible()

    def register_the_starter_model(self, folder) -> None:
        self.go("Models")
        self.press("link", "Register a model")
        self.page.get_by_label("Hub id or folder").fill(str(folder))
        self.press("button", "Look at it")
        self.visitor.until(lambda: self.page.get_by_label("Id", exact=True).is_visible(), "the model was looked at")
        expect(self.page.locator("main")).to_contain_text("native, unpadded")
        self.page.get_by_label("Id", exact=True).fill(self.model)
        expect(self.page.get_by_label("Load it now")).to_be_checked()
        self.press("button", "Register")

    def watch_it_load(self) -> None:
        expect(self.page.get_by_role("heading", name=self.model, level=1)).to_be_visible()
        self.wait_for("in memory")

    def create_a_tenant(self) -> None:
        self.go("Tenants")
        self.press("link", "New tenant")
        self.page.get_by_label("Name").fill(self.tenant)
        self.page.get_by_label("Models that it may use").fill(f"{self.model}*")
        self.press("button", "Make the tenant")
        expect(self.page.get_by_role("status")).to_contain_text(f"{self.tenant} is there")
        expect(self.page.locator("main")).to_contain_text(self.model)

    def create_a_key(self) -> None:
        self.press("link", "New key")
        self.page.get_by_label("Name").fill("production")
        self.press("button", "Make the key")
        self.key = self.page.locator("#the-key").inner_text()
        assert self.key.startswith("sk-shoal-")

    def shown_code(self, label: str, id_: str) -> str:
        """As it stands there, or, where there is script, as its button copies it."""
        self.page.locator("label", has_text=re.compile(f"^{label}$")).click()
        code = self.page.locator(f"#{id_}")
        expect(code).to_be_visible()
        text = code.inner_text()
        if self.visitor.scripted:
            self.page.locator(f"[data-copy={id_}]").click()
            expect(self.page.locator(f"[data-copy={id_}]")).to_have_text("Copied")
            assert self.page.evaluate("navigator.clipboard.readText()") == text
        return text

    def call(self, url: str) -> httpx.Response:
        body = {"model": self.model, "input": "Small fish swim in shoals."}
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.post(f"{url}/v1/embeddings", json=body, headers=headers, timeout=30)

    def open_tenant(self, tab: str = "") -> None:
        self.go("Tenants")
        self.press("link", self.tenant)
        if tab:
            self.page.get_by_role("navigation", name=f"Pages of {self.tenant}").get_by_role("link", name=tab).click()


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("scripted", [True, False], ids=["script", "no script"])
def test_from_the_first_password_to_the_audit_log(
    visitor_of, first_server, first_password, starter_folder, scripted
) -> None:
    may = {"permissions": ["clipboard-read", "clipboard-write"]} if scripted else {}
    visitor = visitor_of(first_server.url, scripted=scripted, **may)
    journey = Journey(visitor, "by-script" if scripted else "by-hand")
    page = visitor.page

    journey.sign_in_for_the_first_time(first_password)
    seen_before = journey.requests_of_the_hour()
    journey.register_the_starter_model(starter_folder)
    journey.watch_it_load()
    journey.create_a_tenant()
    journey.create_a_key()
    first_server.until(
        lambda: first_server.get("/v1/models", journey.key).status_code == 200, "the gateway follows a new key"
    )

    assert '"embedding":[' in run(["bash", "-euc", journey.shown_code("curl", "code-curl")])
    assert run([sys.executable, "-c", journey.shown_code("Python", "code-python")]).split()[0] == "384"
    journey.press("link", "I have saved it")
    expect(page.locator("main")).not_to_contain_text(journey.key)

    journey.go("Overview")
    visitor.until(lambda: journey.requests_of_the_hour() == seen_before + 2, "the two requests are in the traffic")
    journey.open_tenant("Usage")
    visitor.until(lambda: page.get_by_role("row").count() > 1 or not scripted, "its usage")
    page.get_by_role("navigation", name="Sums").get_by_role("link", name="Model").click()
    row = page.get_by_role("row", name=journey.model)
    expect(row.get_by_role("cell").nth(1)).to_have_text("2")

    journey.open_tenant("Limits")
    page.get_by_label("Requests per minute").fill(str(LIMIT))
    journey.press("button", "Save")
    expect(page.get_by_role("status")).to_contain_text("are saved")
    refused = 0
    deadline = 200
    while refused < 10 and deadline:  # within two seconds the gateway follows; ten refusals are worth a word
        deadline -= 1
        refused += journey.call(first_server.url).status_code == 429
    assert refused == 10
    page.reload()
    expect(page.get_by_role("row", name="Requests per minute")).to_contain_text(f"{LIMIT} of {LIMIT} at its limit")
    journey.go("Overview")
    journey.wait_for(f"Requests of {journey.tenant} are refused")

    journey.open_tenant()
    journey.press("link", "Suspend")
    journey.press("button", "Suspend")
    expect(page.get_by_role("status")).to_contain_text("is suspended")
    first_server.until(lambda: journey.call(first_server.url).status_code == 403, "the key is refused")

    journey.go("Audit log")
    table = page.get_by_role("table")
    for deed, words in {
        "model.add": journey.model,
        "tenant.create": journey.tenant,
        "grant.set": journey.model,
        "key.create": "production",
        "quota.set": f"{LIMIT}",
        "tenant.suspend": journey.tenant,
    }.items():
        mine = table.get_by_role("row").filter(has_text="admin").filter(has_text=deed).filter(has_text=words)
        expect(mine.first).to_contain_text("127.0.0.1")
    assert visitor.refused == []
