"""Is usage ever lost or doubled? Gateways under load are killed at random, and the ledger is held against the clients.

    python -m benchmarks crashes [--kills 200] [--outage 60] [--seed 1] [--name crashes] [--dry]

Three `shoal gateway` share one spool folder and one database in front of a fake engine; clients ask without a pause and
write down the tokens of every answer that came whole. Then: the ledger holds each of them once, and beside them at most
what was in flight at a kill. First on SQLite, then on a PostgreSQL that is stopped for a while half-way.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks import machine
from benchmarks.crashes.clients import Client, Tally
from benchmarks.crashes.gateways import Gateway, kept_alive, kill_at_random
from benchmarks.crashes.ledger import Outcome, judge
from benchmarks.crashes.postgres import postgres
from benchmarks.crashes.tenants import prepare
from benchmarks.processes import NotMeasurable, free_port, running
from benchmarks.report import Report, Table, publish
from benchmarks.served import MODEL, SHOAL
from gateway.settings import sqlite_url

GATEWAYS = 3
CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Outage:
    """The database is away for so many seconds, once half of the kills are done."""

    seconds: float
    stop: Callable[[], None]
    start: Callable[[], None]


def main(arguments: list[str]) -> None:
    """Run both, print, and keep the results unless the run is dry. Raises NotMeasurable where usage was lost."""
    options = argparse.ArgumentParser(prog="python -m benchmarks crashes")
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--outage", type=float, default=60.0, help="seconds that PostgreSQL is away")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--name", default="crashes")
    options.add_argument("--dry", action="store_true", help="keep no results")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    outcomes = {}
    with tempfile.TemporaryDirectory() as folder:
        outcomes["SQLite"] = crash(Path(folder), sqlite_url(Path(folder)), chosen.kills, chosen.seed)
    with tempfile.TemporaryDirectory() as folder, postgres() as server:
        outage = Outage(chosen.outage, server.stop, server.start)
        away = f"PostgreSQL, away for {chosen.outage:g} s"
        outcomes[away] = crash(Path(folder), server.url, chosen.kills, chosen.seed + 1, outage)
    report = Report(
        name=chosen.name,
        title="Usage when gateways are killed",
        command=" ".join(["python -m benchmarks crashes", *arguments]),
        machine=here,
        tables=[_table(outcomes)],
        numbers={"outcomes": outcomes},
    )
    publish(report, keep=not chosen.dry)
    if not all(outcome.holds for outcome in outcomes.values()):
        raise NotMeasurable("Usage was lost, doubled or made up: see above.")


def crash(folder: Path, database_url: str, kills: int, seed: int, outage: Outage | None = None) -> Outcome:
    """One run, in a folder of its own, on an empty database."""
    keys = uvloop.run(prepare(database_url, MODEL))
    port = free_port()
    node = f"http://127.0.0.1:{port}"
    engine = [sys.executable, "-m", "benchmarks.fake_engine", "--port", str(port), "--dimensions", "8"]
    with running(engine, ready=f"{node}/status"):
        return uvloop.run(_crash(folder, database_url, node, keys, kills, seed, outage))


async def _crash(
    folder: Path, database_url: str, node: str, keys: list[str], kills: int, seed: int, outage: Outage | None
) -> Outcome:
    gateways = [_gateway(folder, database_url, node, number) for number in range(GATEWAYS)]
    urls = [gateway.url for gateway in gateways]
    tally, ended, database_there = Tally(), asyncio.Event(), asyncio.Event()
    database_there.set()
    clients = [Client(number, urls, keys[number % len(keys)], tally) for number in range(CLIENTS)]
    began = time.monotonic()
    async with kept_alive(gateways):
        asking = [asyncio.create_task(client.run(ended, seed)) for client in clients]
        await kill_at_random(gateways, kills - kills // 2, seed, held=database_there)
        async with contextlib.AsyncExitStack() as away:
            if outage is not None:
                await away.enter_async_context(_away(outage, database_there))
            await kill_at_random(gateways, kills // 2, seed + 1, held=database_there)
        ended.set()
        await asyncio.gather(*asking)
        seconds = time.monotonic() - began
        for gateway in gateways:
            await gateway.serving.wait()
    return await judge(database_url, folder / "usage", tally, kills=kills, seconds=seconds)


@contextlib.asynccontextmanager
async def _away(outage: Outage, database_there: asyncio.Event) -> AsyncIterator[None]:
    """The database goes at the beginning of the block and comes back in it, or at its end at the latest."""

    async def go_and_come() -> None:
        database_there.clear()
        await asyncio.to_thread(outage.stop)
        await asyncio.sleep(outage.seconds)
        await asyncio.to_thread(outage.start)
        database_there.set()

    going = asyncio.create_task(go_and_come())
    yield
    await going


def _gateway(folder: Path, database_url: str, node: str, number: int) -> Gateway:
    port = free_port()
    place = ["--port", str(port), "--data-dir", str(folder), "--database-url", database_url]
    return Gateway(f"http://127.0.0.1:{port}", [*SHOAL, "gateway", *place, "--node", node], folder / f"{number}.log")


def _table(outcomes: dict[str, Outcome]) -> Table:
    rows = {
        "Kills": lambda outcome: f"{outcome.kills}",
        "Seconds": lambda outcome: f"{outcome.seconds:.0f}",
        "Answers that came whole": lambda outcome: f"{outcome.answered:,}",
        "Answers of another status": lambda outcome: f"{sum(outcome.refused.values()):,}",
        "Requests in flight at a kill": lambda outcome: f"{outcome.cut:,}",
        "Records in the ledger": lambda outcome: f"{outcome.recorded:,}",
        "Tokens of the answers": lambda outcome: f"{outcome.tokens_answered:,}",
        "Tokens in the ledger": lambda outcome: f"{outcome.tokens_recorded:,}",
        "… beyond the answers": lambda outcome: f"{outcome.tokens_recorded - outcome.tokens_answered:,}",
        "… that were in flight": lambda outcome: f"{outcome.tokens_cut:,}",
        "Answers that are not in the ledger": lambda outcome: f"{len(outcome.lost)}",
        "Records that are there twice": lambda outcome: f"{len(outcome.doubled)}",
        "Records that nobody asked for": lambda outcome: f"{len(outcome.strangers)}",
        "Sums per hour agree with the records": lambda outcome: "yes" if outcome.sums_agree else "NO",
        "Bytes left in the spool": lambda outcome: f"{outcome.spool_bytes}",
    }
    return Table(
        f"{GATEWAYS} gateways on one spool folder, {CLIENTS} clients",
        ["", *outcomes],
        [[name, *map(shown, outcomes.values())] for name, shown in rows.items()],
        "A request that was in flight may be in the ledger or not: its gateway may have died before or after it wrote "
        "the record. No other difference is allowed.",
    )
