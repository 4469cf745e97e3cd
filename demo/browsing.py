"""A demo in a process of its own, and a browser in front of it."""

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import msgspec
from playwright.sync_api import Browser, Page, sync_playwright

from demo.customers import PASSWORD
from demo.serving import Place

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
STOP_LIMIT = 30.0
SANDBOXLESS = ("--no-sandbox",)
"""Root may have no sandbox, and containers seldom can; what is looked at here is ours alone."""


class NotStarted(Exception):
    """What was to be started does not; the message says why."""


@contextlib.contextmanager
def demo(*arguments: str) -> Iterator[Place]:
    """A running demo, on a port that was free. Raises NotStarted."""
    command = [sys.executable, "-m", "demo", "--port", "0", *arguments]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)  # noqa: S603 (ourselves)
        try:
            assert process.stdout is not None  # noqa: S101 (a pipe)
            if not (line := process.stdout.readline()):
                process.wait()
                said.seek(0)
                raise NotStarted(f"The demo did not start: {said.read()[-2000:].strip()}")
            yield msgspec.json.decode(line, type=Place)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def chromium() -> str | None:
    """The system's own browser, if there is one."""
    return next((found for name in CHROMIUMS if (found := shutil.which(name))), None)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """It, without a window. Raises NotStarted where there is none."""
    executable = chromium()
    if executable is None:
        raise NotStarted("There is no Chromium here. On Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=list(SANDBOXLESS))
        try:
            yield opened
        finally:
            opened.close()


def sign_in(page: Page, url: str, name: str, password: str = PASSWORD) -> None:
    """By the form, as anybody does."""
    page.goto(f"{url}/admin/sign-in")
    page.get_by_label("Operator").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
