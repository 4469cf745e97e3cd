"""What a benchmark leaves behind: tables for people and the same numbers as JSON, with the machine they are from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.machine import Machine
from benchmarks.rounds import Spread

RESULTS = Path(__file__).resolve().parent / "results"


class Table(msgspec.Struct, frozen=True):
    """Rows under a heading; `note` says how to read them."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one benchmark."""

    name: str
    title: str
    command: str
    machine: Machine
    tables: Sequence[Table]
    numbers: dict[str, Any]
    """Everything measured, every round of it."""


def markdown(report: Report) -> str:
    """The report for people."""
    machine = report.machine
    packages = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    lines = [
        f"# {report.title}",
        "",
        f"`{report.command}` at commit {machine.commit}, {machine.date} UTC.",
        "",
        f"{machine.processor}; {machine.cores} cores, {machine.memory_gib} GiB; {machine.system},",
        f"Linux {machine.kernel}; Python {machine.python}, {packages}.",
        f"Load average before the run: {machine.load_average}.",
    ]
    for table in report.tables:
        lines += ["", f"## {table.title}", "", *_rows(table)]
        if table.note:
            lines += ["", table.note]
    return "\n".join(lines) + "\n"


def publish(report: Report, *, keep: bool) -> None:
    """Print the report; write results/<name>.md and .json where it is to be kept."""
    print(markdown(report))
    if not keep:
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{report.name}.md").write_text(markdown(report))
    recorded = {
        "title": report.title,
        "command": report.command,
        "machine": report.machine,
        "numbers": report.numbers,
    }
    (RESULTS / f"{report.name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(recorded), indent=1) + b"\n")
    print(f"Kept as {RESULTS.name}/{report.name}.md and .json.")


def shown(spread: Spread, form: str = ",.0f") -> str:
    """`median (low to high)`."""
    return f"{spread.median:{form}} ({spread.low:{form}} to {spread.high:{form}})"


def _rows(table: Table) -> list[str]:
    rule = ["---" if place == 0 else "---:" for place in range(len(table.columns))]
    return ["| " + " | ".join(row) + " |" for row in (table.columns, rule, *table.rows)]
