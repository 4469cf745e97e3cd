"""Chromium in front of real consoles. What goes wrong inside it fails the test that looked."""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, WebError

from demo import browsing
from demo.serving import Place

LIMIT = 20_000
"""Milliseconds that anything may take to show."""
PATIENCE = 60.0
"""Seconds in which a page that is given all the time it wants shows what it will."""


@dataclass
class Visitor:
    """A browser of somebody who has not been here before, and what went wrong in it."""

    context: BrowserContext
    url: str
    scripted: bool
    page: Page
    problems: list[str] = field(default_factory=list)
    """What nobody should ever see: errors of scripts, breaches of the policy of content, requests that failed."""
    refused: list[tuple[int, str]] = field(default_factory=list)
    """Pages that came with a status of 400 or more, and their paths."""
    asking: set[Request] = field(default_factory=set)
    """Requests that are not answered yet."""

    def watch(self) -> None:
        self.context.on("request", self._ask)
        self.context.on("requestfinished", self._hear_answer)
        self.context.on("console", self._hear)
        self.context.on("weberror", self._see)
        self.context.on("requestfailed", self._miss)
        self.context.on("response", self._judge)

    def sign_in(self, name: str, password: str = browsing.PASSWORD) -> None:
        browsing.sign_in(self.page, self.url, name, password)

    def goto(self, path: str) -> None:
        self.page.goto(self.url + path)

    def until(self, holds: Callable[[], bool], what: str, limit: float = LIMIT / 1000) -> None:
        """Watch the page until it shows something; without script, by loading it again as people do."""
        tries = 0
        while not holds():
            tries += 1
            assert tries * 0.25 < limit, f"not within {limit} s: {what}"
            self.page.wait_for_timeout(250)
            if not self.scripted:
                self.look_again()

    def pass_time(self, until: Callable[[], bool], what: str) -> None:
        """Move the page's own clock on (`page.clock.install`) until it shows something.

        The time-outs of its requests run by that clock, too: what it asks is answered before more time passes.
        """
        deadline = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < deadline, f"not shown: {what}"
            self.page.clock.run_for(1000)
            while self.asking and time.monotonic() < deadline:
                self.page.wait_for_timeout(10)

    def look_again(self) -> None:
        by_hand = self.page.get_by_role("link", name="Look whether it is done")
        if by_hand.is_visible():
            by_hand.click()
        else:
            self.page.reload()

    def _hear(self, message: ConsoleMessage) -> None:
        # A page with a status of 400 or more is told in the console, too; `refused` has it.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.problems.append(f"{message.type}: {message.text}")

    def _see(self, error: WebError) -> None:
        self.problems.append(f"script: {error.error}")

    def _ask(self, request: Request) -> None:
        self.asking.add(request)

    def _hear_answer(self, request: Request) -> None:
        self.asking.discard(request)

    def _miss(self, request: Request) -> None:
        self.asking.discard(request)
        if request.failure != "net::ERR_ABORTED":  # its page was left
            self.problems.append(f"{request.method} {request.url}: {request.failure}")

    def _judge(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append((response.status, response.url.removeprefix(self.url)))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One for the tests of a file: while it runs, this thread can have no other event loop."""
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(browsing.browser())
        except browsing.NotStarted as missing:
            pytest.fail(str(missing)) if os.environ.get("CI") else pytest.skip(f"NOT TESTED: {missing}")
        yield opened


@pytest.fixture
def visitor_of(chromium: Browser) -> Iterator[Callable[..., Visitor]]:
    """Visitors of a console; none of them may have met a problem."""
    made: list[Visitor] = []

    def visit(url: str, *, scripted: bool = True, width: int = 1280, **options: object) -> Visitor:
        context = chromium.new_context(
            java_script_enabled=scripted, viewport={"width": width, "height": 800}, reduced_motion="reduce", **options
        )
        context.set_default_timeout(LIMIT)
        visitor = Visitor(context, url, scripted, context.new_page())
        visitor.watch()
        made.append(visitor)
        return visitor

    yield visit
    for visitor in made:
        visitor.context.close()
    assert [problem for visitor in made for problem in visitor.problems] == []


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, of_folder) -> Place:
    """A console with a fleet to look at; tests leave it as they found it."""
    return of_folder(request, browsing.demo)


@pytest.fixture
def visitor(visitor_of: Callable[..., Visitor], place: Place) -> Visitor:
    """Somebody at that console."""
    return visitor_of(place.url)


@pytest.fixture(scope="module")
def first_server(request: pytest.FixtureRequest, of_folder, start_server, tmp_path_factory: pytest.TempPathFactory):
    """`shoal serve` on an empty folder, as after `make run`, for the tests of this folder."""
    return of_folder(request, lambda: start_server(tmp_path_factory.mktemp("browser")))


@pytest.fixture(scope="module")
def first_password(first_server) -> str:
    """What the first start printed."""
    found = re.search(r"operator admin, password (\S+)", first_server.printed)
    assert found is not None, first_server.printed
    return found[1]


@pytest.fixture(scope="session")
def starter_folder() -> Path:
    """Where the package of the starter model keeps it."""
    from benchmarks.served import starter_folder

    return starter_folder()
