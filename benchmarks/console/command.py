"""Is every page of the console quick over a large fleet? Asked of all of them.

    python -m benchmarks console [--database both] [--times 20] [--small] [--name console] [--dry]

5,000 tenants, 500 models, 100 nodes, 200,000 events of the audit log and a year of 10,000,000 usage records with all
their sums, on SQLite and on PostgreSQL. A `shoal gateway` stands on it, and an admin asks for every page and every live
part of the console's own table of routes, each for what costs most.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from sqlalchemy import func, select
from sqlmodel import col

from benchmarks import machine
from benchmarks.console.addresses import Address, Subjects, addresses
from benchmarks.console.asking import Asked, Browser
from benchmarks.console.filling import Bulk, PostgresBulk, SqliteBulk, fill_usage
from benchmarks.console.nodes import addresses as node_addresses
from benchmarks.console.register import ALIAS, LOOKED_AT, OPERATOR, PASSWORD, TOKEN, UPSTREAM, fill_register
from benchmarks.console.size import SMALL, Size, pool_of, tenant_name
from benchmarks.console.traffic import Pair, make_traffic
from benchmarks.crashes.postgres import postgres
from benchmarks.processes import NotMeasurable, free_port, running
from benchmarks.report import Report, Table, publish
from benchmarks.served import SHOAL
from gateway.db import schema, tables
from gateway.db.session import Database
from gateway.settings import sqlite_url

SLOWEST, LARGEST = 0.150, 100_000
"""Seconds at the median, and bytes of a first paint; more is flagged."""
COUNTED: tuple[type[tables.Row], ...] = (
    tables.Tenant, tables.ApiKey, tables.Model, tables.AuditEvent,
    tables.UsageRecord, tables.UsageHour, tables.UsageDay, tables.UsageTotal, tables.UsageMinute,
)  # fmt: skip


def main(arguments: list[str]) -> None:
    """Measure, print, and keep the results unless the run is dry. Raises NotMeasurable where a page fails."""
    options = argparse.ArgumentParser(prog="python -m benchmarks console")
    options.add_argument("--database", choices=("both", "sqlite", "postgresql"), default="both")
    options.add_argument("--times", type=int, default=20, help="that each page is asked for")
    options.add_argument("--small", action="store_true", help="a fleet of 300 tenants, for a quick look")
    options.add_argument("--name", default="console", help="of the files in results/")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    here, size = machine.describe(), SMALL if chosen.small else Size()
    kinds = ("sqlite", "postgresql") if chosen.database == "both" else (chosen.database,)
    found = {kind: _measured(kind, size, chosen.times) for kind in kinds}
    report = Report(
        name=chosen.name,
        title="Every page of the console",
        command=" ".join(["python -m benchmarks console", *arguments]),
        machine=here,
        tables=[table for kind, (asked, rows) in found.items() for table in (_there(kind, rows), _pages(kind, asked))],
        numbers={
            "size": asdict(size),
            "rows": {kind: rows for kind, (_, rows) in found.items()},
            "pages": {kind: [asdict(one) for one in asked] for kind, (asked, _) in found.items()},
        },
    )
    publish(report, keep=not chosen.dry)
    if failed := [one.route for asked, _ in found.values() for one in asked if one.status >= 500]:
        raise NotMeasurable(f"These pages fail: {', '.join(failed)}")


def _measured(kind: str, size: Size, times: int) -> tuple[list[Asked], dict[str, int]]:
    with tempfile.TemporaryDirectory() as folder, _url(kind, Path(folder)) as url:
        now = datetime.now(UTC)
        heaviest, rows = uvloop.run(_fill(url, size, now))
        nodes_port = free_port()
        with _gateway(Path(folder), url, size, nodes_port) as gateway:
            browser = Browser(gateway)
            browser.sign_in(OPERATOR, PASSWORD)
            subjects = subjects_of(size, heaviest, now, nodes_port)
            return [_ask(browser, address, times) for address in addresses(subjects)], rows


def _ask(browser: Browser, address: Address, times: int) -> Asked:
    asked = browser.ask(address, times)
    print(f"{asked.median * 1e3:7.1f} ms  {asked.route}", file=sys.stderr, flush=True)
    return asked


@contextlib.contextmanager
def _url(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield sqlite_url(folder)
        return
    with postgres() as server:
        yield server.url


async def _fill(url: str, size: Size, now: datetime) -> tuple[Pair, dict[str, int]]:
    began = time.perf_counter()
    await schema.upgrade(url)
    database = Database.open(url)
    bulk: Bulk = SqliteBulk(database) if database.file else PostgresBulk(url)
    traffic = make_traffic(size, now)
    await fill_register(database, size, now)
    await fill_usage(database, bulk, traffic, now)
    rows, tokens = await _counted(database)
    await database.close()
    if len(set(tokens.values())) != 1:
        raise NotMeasurable(f"What was made up does not agree with itself: {tokens}")
    print(f"filled in {time.perf_counter() - began:.0f} s: {rows}", file=sys.stderr, flush=True)
    return traffic.heaviest, rows


async def _counted(database: Database) -> tuple[dict[str, int], dict[str, int]]:
    """The rows of tables, and the tokens of all usage by each table that sums it."""
    kinds = {
        kind: select(func.sum(tables.UsageTotal.tokens)).where(col(tables.UsageTotal.kind) == kind)
        for kind in ("day", "model", "tenant", "key", "year_model", "year_tenant", "year_key")
    }
    sums = kinds | {
        str(table.__tablename__): select(func.sum(table.tokens))
        for table in (tables.UsageRecord, tables.UsageHour, tables.UsageDay)
    }
    async with database.reading() as session:
        counts = {
            str(table.__tablename__): int((await session.execute(select(func.count()).select_from(table))).scalar_one())
            for table in COUNTED
        }
        return counts, {name: int((await session.execute(asked)).scalar_one()) for name, asked in sums.items()}


def subjects_of(size: Size, heaviest: Pair, now: datetime, nodes_port: int) -> Subjects:
    """What to ask about: the tenant, key and model that used most."""
    return Subjects(
        tenant=heaviest.tenant_id,
        alias=ALIAS,
        key=heaviest.key_id,
        model=heaviest.model,
        node=f"{pool_of(0, size.nodes)}~http:||127.0.1.1:{nodes_port}",
        upstream=UPSTREAM,
        operator=LOOKED_AT,
        token=TOKEN,
        year=f"{now.year}",
        month=f"{now:%Y-%m}",
        day=f"{now:%Y-%m-%d}",
        search="Atlas",
        halfway=tenant_name(size.tenants // 2),
    )


@contextlib.contextmanager
def _gateway(folder: Path, url: str, size: Size, nodes_port: int) -> Iterator[str]:
    port = free_port()
    count = ["--count", str(size.nodes), "--resident", str(size.resident), "--models", str(size.models)]
    nodes = [sys.executable, "-m", "benchmarks.console.nodes", *count, "--port", str(nodes_port)]
    there = [word for address in node_addresses(size, nodes_port) for word in ("--node", address)]
    place = ["--port", str(port), "--data-dir", str(folder), "--database-url", url]
    with (
        running(nodes, ready=f"http://127.0.1.1:{nodes_port}/status"),
        running([*SHOAL, "gateway", *place, *there], ready=f"http://127.0.0.1:{port}/health/ready"),
    ):
        yield f"http://127.0.0.1:{port}"


def _there(kind: str, rows: dict[str, int]) -> Table:
    return Table(f"What there is: {kind}", ("", "rows"), [(name, f"{count:,}") for name, count in rows.items()])


def _pages(kind: str, asked: Sequence[Asked]) -> Table:
    ordered = sorted(asked, key=lambda one: -one.median)
    return Table(
        f"Every page: {kind}",
        ("", "median", "worst", "page", "first paint", "status", ""),
        [
            (
                f"`{one.route}`",
                f"{one.median * 1e3:.1f} ms",
                f"{max(one.seconds) * 1e3:.1f} ms",
                f"{one.page_bytes / 1e3:.1f} kB",
                f"{one.first_paint / 1e3:.1f} kB",
                str(one.status),
                _flags(one),
            )
            for one in ordered
        ],
        "From sending the request to the last byte of the answer, over one connection; of files (`/export`) to the "
        "first byte. A first paint is the page with its style sheet, script and icon as they are transferred, of which "
        f"nothing is compressed. Flagged: a median above {SLOWEST * 1e3:.0f} ms, a first paint above "
        f"{LARGEST / 1e3:.0f} kB.",
    )


def _flags(one: Asked) -> str:
    slow = "slow" if one.median > SLOWEST else ""
    large = "large" if one.first_paint > LARGEST else ""
    return " ".join(filter(None, (slow, large)))
