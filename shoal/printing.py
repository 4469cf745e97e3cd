"""What commands print: tables for people, plain columns for pipes, JSON for programs."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shoal.options.shared import DATA_DIR


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on a terminal; elsewhere tab-separated lines under a line of names."""
    cells = [[shown(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *cells):
            print("\t".join(line))
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for line in cells:
        table.add_row(*map(Text, line))  # as text: names are not markup
    Console().print(table)


def print_json(value: object) -> None:
    """One JSON document, indented."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def shown(value: object) -> str:
    """A value in a table."""
    match value:
        case None | "" | ():
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        case tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def command(words: str, *names: str, data_dir: Path = DATA_DIR) -> str:
    """What to type next, on the same data folder; each `{}` in `words` is a name, quoted for the shell."""
    line = "shoal " + words.format(*map(shlex.quote, names))
    return line if data_dir == DATA_DIR else f"{line} --data-dir {shlex.quote(str(data_dir))}"
