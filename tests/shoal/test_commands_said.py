"""Every `shoal` command that a page, a message or a docstring tells people to run is one that there is."""

import re
import shlex
from itertools import takewhile
from pathlib import Path

import pytest
from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from shoal.cli import app

ROOT = Path(__file__).parents[2]
PACKAGES = ("shoal", "gateway", "policies", "engine", "admin_ui")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "benchmarks").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
PLACES = [*PAGES, *(file for file in (ROOT / "deploy").rglob("*") if file.suffix in {".md", ".tf", ".txt"})]
SOURCES = [file for name in PACKAGES for file in (ROOT / name).rglob("*") if file.suffix in {".py", ".html"}]
QUOTED = re.compile(r"(?:`|<code>)(?:\S*/)?shoal ([a-z][^`<\n]*)(?:`|</code>)")
FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"(?:^|\$\()(?:[^\s`|]*/)?shoal ([a-z].*)$", re.MULTILINE)
ENDS = {"|", ">", ">>", "<", "&&", ";", "&", ")"}


def said(text: str) -> list[str]:
    """What comes behind `shoal` in a text."""
    fences = "\n".join(FENCE.findall(text)).replace("\\\n", " ")
    return QUOTED.findall(text) + TYPED.findall(fences)


def fault(line: str) -> str | None:
    """What the command line would not understand of it; words of options are left to it."""
    shell = shlex.shlex(line.replace("'", " "), posix=True, punctuation_chars=True)
    shell.whitespace_split, shell.commenters = True, "#"
    words, command = list(takewhile(lambda word: word not in ENDS, shell)), get_command(app)
    while isinstance(command, TyperGroup) and words:
        context, word = Context(command), words.pop(0)
        if command.get_command(context, word) is None:
            return None if word == "…" else f"no such command: {word}"
        _, command, _ = command.resolve_command(context, [word])
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    return next((word for word in words if word.startswith("-") and word.partition("=")[0] not in known), None)


@pytest.mark.parametrize(("files", "at_least"), [(PLACES, 50), (SOURCES, 20)], ids=["pages", "sources"])
def test_every_command_exists(files, at_least) -> None:
    lines = [(str(file.relative_to(ROOT)), line) for file in files for line in said(file.read_text())]
    assert len(lines) > at_least
    assert not [(*found, why) for found in lines if (why := fault(found[1])) is not None]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("tenant mak acme", "no such command: mak"),
        ("quota set --tenant acme --tpd 5  # a day", "--tpd"),
        ("model list | grep --colour x", None),
        ("upstream …", None),
    ],
)
def test_what_does_not_exist_is_found(line, what) -> None:
    assert fault(line) == what
