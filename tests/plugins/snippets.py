"""The code in README and docs, as it is written there.

A page says in a comment where its Python runs (`<!-- environment: databases -->`; else where the tests do), and before
a block why it does not run here (`<!-- not run: why -->`). What a line prints is said at its end: `print(2)  # 2`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from client_scripts import OURS, ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
RUN = ("python", "js", "sh")
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>[^>]+) -->\n)?```(?P<language>.*)\n(?P<code>(?:.*\n)*?)```$", re.MULTILINE
)
ENVIRONMENT = re.compile(r"^<!-- environment: (\w+) -->$", re.MULTILINE)
PRINTED = re.compile(r"^ *(?:print|console\.log)\(.*\);?  ?(?:#|//) (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """A block of a page."""

    page: str
    line: int
    language: str
    code: str
    environment: str
    why_not: str | None
    """Why it is not run."""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def prints(self) -> list[str]:
        """What its lines say that they print."""
        return PRINTED.findall(self.code)


def snippets_of(file: Path) -> list[Snippet]:
    """A page's blocks, in their order."""
    text, page = file.read_text(), str(file.relative_to(ROOT))
    named = ENVIRONMENT.search(text)
    return [
        Snippet(
            page, text.count("\n", 0, found.start("code")), found["language"], found["code"],
            named[1] if named else OURS, found["why"],
        )
        for found in FENCE.finditer(text)
    ]  # fmt: skip


SNIPPETS = [snippet for file in PAGES for snippet in snippets_of(file)]
