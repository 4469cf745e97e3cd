"""Every page as people with other eyes and hands meet it, judged by axe-core; and that the policy of pages holds.

axe comes in over the browser's own wire, so that pages keep the policy with which they are served.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from console_pages import SHOWN, Shown
from full_console import FullConsole
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, Route

AXE = Path(__file__).parents[2] / "clients" / "node" / "node_modules" / "axe-core" / "axe.min.js"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 400, "height": 800}
SERIOUS = {"serious", "critical"}
JUDGED = tuple({(one.path, str(one.form), one.note, one.empty): one for one in reversed(SHOWN)}.values())
"""Each page once: for those who may do less, less stands on it."""
JUDGE = """async (only) => {
  const options = only.length ? { runOnly: { type: "rule", values: only } } : {};
  const found = await axe.run(document, { ...options, resultTypes: ["violations"] });
  return found.violations.map((one) => [one.impact, one.id, one.nodes.map((node) => `${node.target} ${node.html}`)]);
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        missing = "NOT TESTED: axe-core is not here; install npm, then `make pytest`"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return AXE.read_text()


@pytest.fixture(scope="module")
def context(chromium: Browser, axe: str) -> Iterator[BrowserContext]:
    made = chromium.new_context(viewport=WIDE, reduced_motion="reduce")
    made.add_init_script(axe)
    yield made
    made.close()


@pytest.fixture(scope="module")
def tab(context: BrowserContext) -> Page:
    """One for all pages in turn: a new one is a new process of the browser's, dearer than the look at a page."""
    return context.new_page()


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """What it complains of ends the test: nothing that the policy forbids was tried, and no script failed."""
    complaints: list[str] = []

    def hear_error(error: Error) -> None:
        complaints.append(str(error))

    def hear(said: ConsoleMessage) -> None:
        if "Content Security" in said.text:
            complaints.append(said.text)

    tab.set_viewport_size(WIDE)
    tab.emulate_media(color_scheme="light")
    tab.on("pageerror", hear_error)
    tab.on("console", hear)
    yield tab
    tab.remove_listener("pageerror", hear_error)
    tab.remove_listener("console", hear)
    assert complaints == []


def go(page: Page, console: FullConsole, shown: Shown) -> None:
    """Open it; a form is sent as if from a page of the console."""
    url, body, headers = console.url_of(shown), console.body_of(shown), console.headers_of(shown)
    page.context.clear_cookies()
    if cookie := headers.pop("cookie", None):
        name, _, value = cookie.partition("=")
        page.context.add_cookies([{"name": name, "value": value, "url": console.url}])

    def send(route: Route, request: Request) -> None:
        said = request.headers | headers | {"content-type": "application/x-www-form-urlencoded"}
        route.continue_(method="POST", headers=said, post_data=body)

    if body is not None:
        page.route(url, send, times=1)
    page.goto(url)


def serious(page: Page, *only: str) -> list[object]:
    return [found for found in page.evaluate(JUDGE, list(only)) if found[0] in SERIOUS]


@pytest.mark.parametrize("shown", JUDGED, ids=str)
def test_nothing_serious_is_in_anybodys_way(shown, page, console_of) -> None:
    go(page, console_of(shown), shown)
    assert serious(page) == [], "light"
    page.emulate_media(color_scheme="dark")
    assert serious(page, "color-contrast", "link-in-text-block") == [], "dark"
    page.set_viewport_size(NARROW)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert serious(page) == [], "dark, narrow, and all of it open"
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], "it has to be moved sideways"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_in_a_dialogs_way(scheme, page, console_of) -> None:
    page.emulate_media(color_scheme=scheme)
    go(page, console_of(SHOWN[0]), Shown("/tenants/{tenant:str}"))
    page.locator("a[data-dialog]").first.click()
    page.locator("dialog[open]").wait_for()
    assert serious(page) == []


def test_axe_finds_what_is_wrong(page, console_of) -> None:
    """The judge is awake: what all pages are free of is found where it is."""
    go(page, console_of(SHOWN[0]), Shown("/account"))
    page.evaluate("document.querySelector('label').remove(); document.querySelector('.hint').style.color = '#eee'")
    assert {"label", "color-contrast"} <= {found[1] for found in serious(page)}


def test_a_script_that_got_into_a_page_does_not_run(context: BrowserContext, console_of) -> None:
    page = context.new_page()
    go(page, console_of(SHOWN[0]), Shown("/account"))
    ran = page.evaluate(
        """async () => {
          window.ran = [];
          const holder = document.createElement("div");
          holder.innerHTML = "<img src='/x' onerror='ran.push(1)'><a href='javascript:ran.push(2)'>x</a>";
          document.body.append(holder);
          for (const make of [
            (script) => { script.textContent = "ran.push(3)"; },
            (script) => { script.src = "data:text/javascript,ran.push(4)"; },
            (script) => { script.src = "https://evil.example/x.js"; },
          ]) { const script = document.createElement("script"); make(script); document.body.append(script); }
          holder.querySelector("a").click();
          const frame = document.createElement("iframe");
          frame.srcdoc = "<script>parent.ran.push(5)</" + "script>";
          document.body.append(frame);
          const style = document.createElement("style");
          style.textContent = "body { display: none }";
          document.head.append(style);
          await new Promise((done) => setTimeout(done, 300));
          if (getComputedStyle(document.body).display === "none") ran.push(6);
          return window.ran;
        }"""
    )
    page.close()
    assert ran == []


def test_no_other_page_frames_the_console(context: BrowserContext, console_of) -> None:
    console = console_of(SHOWN[0])
    page = context.new_page()
    page.route("http://evil.example/", lambda route: route.fulfill(body=f'<iframe src="{console.url}/admin"></iframe>'))
    page.goto("http://evil.example/")
    frame = page.frames[-1]
    text = frame.evaluate("document.body.innerText")
    page.close()
    assert "Sign in" not in text
