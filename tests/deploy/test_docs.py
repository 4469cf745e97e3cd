"""The pages of deploy/ say what is there: places, tests and numbers."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGES = sorted(page for page in DEPLOY.rglob("*.md") if ".terraform" not in page.parts)
LINK = re.compile(r"\]\((?!https?:|\[)([^)#\s]*)(?:#([^)\s]+))?\)")
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
NUMBER = re.compile(r"\d[\d,.]*\d|\d")


def links(page: Path) -> list[tuple[str, str]]:
    """Each with its anchor; what stands in code is none."""
    return LINK.findall(re.sub(r"```.*?```|`[^`\n]+`", "code", page.read_text(), flags=re.DOTALL))


def anchors(page: Path) -> set[str]:
    """As forges make them of headings."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page) -> None:
    for link, anchor in links(page):
        place = page.parent / link if link else page
        assert place.exists(), link
        assert not anchor or anchor in anchors(place), f"{link}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_test_that_is_named_is_there(page) -> None:
    for file, test in NAMED.findall(page.read_text()):
        assert (ROOT / file).exists(), file
        assert not test or f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"


def test_no_page_is_without_a_way_to_it() -> None:
    start = DEPLOY / "README.md"
    linked = {(DEPLOY / link).resolve() for link, _ in links(start) if link}
    assert linked >= set((DEPLOY / "docs").glob("*.md"))


def test_numbers_of_capacity_are_those_that_were_measured() -> None:
    page = DEPLOY / "docs" / "capacity.md"
    rows = re.findall(r"^\| (.+) \| (.+) \| \[.+\]\((\S+/results/\S+)\) \|$", page.read_text(), re.MULTILINE)
    assert len(rows) > 10
    for what, measured, file in rows:
        said = set(NUMBER.findall((page.parent / file).read_text()))
        assert set(NUMBER.findall(measured)) <= said, f"{what}: {measured} is not in {file}"
