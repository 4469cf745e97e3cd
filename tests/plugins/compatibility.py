"""What works with which client, as the tests found it: `docs/compatibility.json`, and the same for readers beside it.

A test that asked a real client tells what came of it; that must be what is kept. `--write-compatibility` keeps what the
tests tell now instead, of the rows that ran, and writes the page anew. Nobody writes either file by hand.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
KEPT = DOCS / "compatibility.json"
PAGE = DOCS / "compatibility.md"
HEAD = """\
# What works with which client

The test-suite asks a running `shoal serve` with each of these clients, through the client's own code, and wrote this
page: `make compatibility`. "-" is what a client does not have.
"""

Rows = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Table:
    """One of the page."""

    title: str
    text: str
    columns: Sequence[str]
    """What a row is asked about, after its name and version."""
    of: str = "client"
    """What its rows are."""


TABLES: Mapping[str, Table] = {
    "clients": Table(
        "Clients",
        "Vectors are those of sentence-transformers within 0.00001, ranks those of their cosines. The path is the one "
        "that the client takes. 3,000 texts go in one call of the client, which makes so many requests of them.",
        (
            "embeds by", "vectors", "3,000 texts", "an empty text", "1,000 dimensions", "1 dimension",
            "queries as queries", "texts too long refused", "reranks by", "ranks",
        ),
    ),
    "databases": Table(
        "Databases and frameworks",
        "With Shoal's own classes for each; versions are those of the Python packages, and \"-\" is also what no test "
        "asks. Neighbours are those of a small labelled set; vectors and scores are those that the server gives "
        "without these classes. No Weaviate was run: requests are made as the sources of its modules make them.",
        (
            "right neighbours", "queries as queries", "sparse", "multi-vector", "reranks", "asks Shoal by itself",
            "async",
        ),
        "database or framework",
    ),
    "errors": Table(
        "Errors",
        "What a client raises, and how many requests it has sent by then: 1 is no second try. Status 429 is twice "
        "there: with `retry-after`, and with `x-should-retry: false` where waiting does not help.",
        (
            "400", "401", "403", "404", "408", "409", "413", "422", "429", "429, in vain", "500", "503",
            "connection lost",
        ),
    ),
}  # fmt: skip


def render(kept: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """The page."""
    parts = [HEAD]
    for name, table in TABLES.items():
        if rows := kept.get(name):
            columns = table.columns or sorted({column for row in rows.values() for column in row} - {"version"})
            lines = [_line([table.of, "version", *columns]), _line(["---"] * (len(columns) + 2))]
            lines += [
                _line([client, row["version"], *(row.get(column, "-") for column in columns)])
                for client, row in sorted(rows.items(), key=lambda item: item[0].lower())
            ]
            parts.append("\n".join([f"## {table.title}", "", table.text, "", *lines, ""]))
    return "\n".join(parts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


class Compatibility:
    """What was told in this run, beside what is kept."""

    def __init__(self, *, write: bool) -> None:
        self._write = write
        self._kept: dict[str, Rows] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        self._told: dict[str, Rows] = {}

    def tell(self, table: str, client: str, version: str, column: str, outcome: str) -> None:
        """What came of asking this client. Fails where the page says otherwise."""
        assert not TABLES[table].columns or column in TABLES[table].columns, column
        told = {"version": version, column: outcome}
        self._told.setdefault(table, {}).setdefault(client, {}).update(told)
        if not self._write:
            kept = self._kept.get(table, {}).get(client, {})
            assert {name: kept.get(name) for name in told} == told, f"{PAGE} is not up to date: make compatibility"

    def clients(self, table: str) -> Sequence[str]:
        """Whose rows are kept."""
        return [*self._everything().get(table, {})]

    def page_is_current(self) -> bool:
        """Whether the page is what the generator makes of what is kept."""
        return self._write or PAGE.read_text() == render(self._kept)

    def _everything(self) -> dict[str, Rows]:
        if not self._write:
            return self._kept
        merged = {table: {**self._kept.get(table, {}), **rows} for table, rows in self._told.items()}
        return {**self._kept, **merged}

    def keep(self) -> None:
        """Write both files, if that was asked for. Rows that ran are new; others stay."""
        if self._write and self._told:
            everything = self._everything()
            DOCS.mkdir(exist_ok=True)
            KEPT.write_text(json.dumps(everything, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
            PAGE.write_text(render(everything))


TOLD = pytest.StashKey[Compatibility]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-compatibility", action="store_true", help="keep what tests of real clients find")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TOLD] = Compatibility(write=config.getoption("--write-compatibility"))


@pytest.fixture(scope="session")
def compatibility(pytestconfig: pytest.Config) -> Compatibility:
    """Where tests tell what works."""
    return pytestconfig.stash[TOLD]


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[TOLD].keep()
