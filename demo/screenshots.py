"""`python -m demo.screenshots`: every page of the console in light, dark and narrow, and the README's pictures."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, Page

from benchmarks.processes import NotMeasurable
from demo.browsing import NotStarted, browser, demo, sign_in
from demo.pages import OF_AN_EMPTY_FLEET, Shot, filled, shots
from demo.serving import Place

WHOLE = 50
"""Seconds of a minute after which its column in a chart is nearly as high as it will be."""
ROOT = Path(__file__).parents[1]
MOST_BYTES = 300_000
"""Of a picture in the README."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the console is looked at."""

    name: str
    scheme: Literal["light", "dark"]
    width: int = 1360
    height: int = 850
    scale: float = 1.0


LOOKS = (Look("light", "light"), Look("dark", "dark"), Look("narrow", "light", 400, 800, 2.0))


def main(arguments: list[str]) -> int:
    """Take them."""
    options = argparse.ArgumentParser(prog="python -m demo.screenshots", description=__doc__)
    options.add_argument("--out", type=Path, default=ROOT / "screenshots", help="a folder for the pictures")
    options.add_argument("--only", default="", help="those in whose name this stands; the README's stay as they are")
    options.add_argument("--look", choices=[look.name for look in LOOKS], help="this one alone")
    chosen = options.parse_args(arguments)
    looks = [look for look in LOOKS if chosen.look in {None, look.name}]
    try:
        wanted = [shot for shot in shots() if chosen.only in shot.name]
        empty = [shot for shot in OF_AN_EMPTY_FLEET if chosen.only in shot.name]
        with browser() as opened:
            if wanted:
                with demo() as place:
                    if not chosen.only:
                        for look in LOOKS[:2]:
                            take_for_readme(opened, place, look)
                    take(opened, place, wanted, looks, chosen.out)
            if empty:
                with demo("--empty") as place:
                    take(opened, place, empty, looks, chosen.out)
    except (NotStarted, NotMeasurable) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def take(opened: Browser, place: Place, wanted: Sequence[Shot], looks: Sequence[Look], out: Path) -> None:
    """Each of them in each look, whole pages."""
    for look in looks:
        folder = out / look.name
        folder.mkdir(parents=True, exist_ok=True)
        for operator in dict.fromkeys(shot.operator for shot in wanted):
            with new_context(opened, look) as context:
                for shot in (shot for shot in wanted if shot.operator == operator):
                    page = show(context, place, shot)
                    page.screenshot(path=folder / f"{shot.name}.png", full_page=not page.locator("dialog").count())
                    page.close()
        print(f"{len(wanted)} pictures in {folder}", flush=True)


def new_context(opened: Browser, look: Look) -> BrowserContext:
    """A browser of somebody who has not been here before."""
    return opened.new_context(
        color_scheme=look.scheme,
        viewport={"width": look.width, "height": look.height},
        device_scale_factor=look.scale,
        reduced_motion="reduce",
    )


def show(context: BrowserContext, place: Place, shot: Shot) -> Page:
    """The page, with its deed done."""
    page = context.new_page()
    if not any(cookie["name"] == "shoal_console" for cookie in context.cookies()) or shot.name.startswith("session"):
        sign_in(page, place.url, shot.operator)
    page.goto(place.url + filled(shot.address, place.parameters))
    if shot.deed is not None:
        shot.deed(page)
        page.wait_for_load_state()
    return page


def take_for_readme(opened: Browser, place: Place, look: Look) -> None:
    """The overview, as much as a screen shows of it."""
    with opened.new_context(
        color_scheme=look.scheme, viewport={"width": 1280, "height": 1060}, device_scale_factor=1.25
    ) as context:
        page = context.new_page()
        sign_in(page, place.url, "ada")
        page.get_by_text("of its monthly tokens").wait_for()
        while datetime.now(UTC).second < WHOLE:
            page.wait_for_timeout(500)
        target = ROOT / "docs" / f"overview-{look.name}.png"
        target.parent.mkdir(exist_ok=True)
        page.screenshot(path=target)
        if (size := target.stat().st_size) > MOST_BYTES:
            raise NotStarted(f"{target} has {size} bytes; a README's picture may have {MOST_BYTES}.")
        print(f"{target}: {size // 1000} kB", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
