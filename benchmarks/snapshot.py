"""What it takes to hold every tenant's policies in memory, to look a key up, and to follow one change among them.

python -m benchmarks snapshot [--tenants 10000] [--keys 50000] [--changes 100] [--name snapshot] [--dry]
"""

import argparse
import asyncio
import gc
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from sqlalchemy import insert

from benchmarks import machine
from benchmarks.processes import peak_resident_bytes, resident_bytes
from benchmarks.report import Report, Table, publish
from gateway.api.model_choice import find_model
from gateway.auth import authenticate
from gateway.db import schema, tables
from gateway.db.session import Database
from gateway.errors import ModelNotFound
from gateway.services.ids import new_id
from gateway.services.register import keys
from gateway.services.register.audit import Actor
from gateway.services.snapshot.feed import SnapshotFeed

MEMORY_TARGET, LOOKUP_TARGET = 200e6, 5e-6
MODELS = 200
BATCH = 1000
LOOKUPS = 100_000
TICK = 0.001
SECRET = "x" * 43

Numbers = dict[str, float]


def main(arguments: list[str]) -> None:
    """Measure, print, and keep the results unless the run is dry."""
    options = argparse.ArgumentParser(prog="python -m benchmarks snapshot")
    options.add_argument("--tenants", type=int, default=10_000)
    options.add_argument("--keys", type=int, default=50_000)
    options.add_argument("--changes", type=int, default=100)
    options.add_argument("--database-url", help="an empty database to fill; without it, SQLite in a temporary folder")
    options.add_argument("--name", default="snapshot", help="of the files in results/")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        url = chosen.database_url or f"sqlite:///{Path(folder) / 'shoal.db'}"
        numbers = uvloop.run(measure(url, chosen.tenants, chosen.keys, chosen.changes))
    kind = url.partition(":")[0]
    publish(
        Report(
            name=chosen.name,
            title="The policy snapshot",
            command=" ".join(["python -m benchmarks snapshot", *_without_secrets(arguments)]),
            machine=here,
            tables=[_table(numbers, chosen.tenants, chosen.keys, kind)],
            numbers={"database": kind, "tenants": chosen.tenants, "keys": chosen.keys} | numbers,
        ),
        keep=not chosen.dry,
    )


async def measure(url: str, tenants: int, many_keys: int, changes: int) -> Numbers:
    """All the numbers, in seconds and bytes."""
    await schema.upgrade(url)
    database = Database.open(url)
    with ProcessPoolExecutor(1, get_context("spawn")) as elsewhere:  # what it takes is not to be counted here
        ids = await asyncio.get_running_loop().run_in_executor(elsewhere, fill, url, tenants, many_keys)
    gc.collect()
    before = resident_bytes(os.getpid())
    async with _stalls() as stalls:
        began = time.perf_counter()
        feed = await SnapshotFeed.open(database, 3600)
        whole = time.perf_counter() - began
    gc.collect()
    numbers = {
        "whole load": whole,
        "longest stall of a whole load": max(stalls),
        "resident growth": float(resident_bytes(os.getpid()) - before),
        "resident growth at the peak": float(peak_resident_bytes(os.getpid()) - before),
    }
    gc.freeze()  # as a gateway does once it is open
    numbers |= look_up(feed, ids)
    numbers |= await follow(database, feed, ids[:changes])
    await feed.close()
    await database.close()
    return numbers


def fill(url: str, tenants: int, many_keys: int) -> list[str]:
    """Tenants with rules, aliases and keys, some of which have rules too, straight into the tables; the keys' ids."""
    rows, key_ids = made_up(tenants, many_keys)

    async def write() -> None:
        database = Database.open(url)
        for table, values in rows.items():
            async with database.transaction() as session:
                for start in range(0, len(values), BATCH):
                    await session.execute(insert(table), values[start : start + BATCH])
        await database.close()

    asyncio.run(write())
    return key_ids


Rows = dict[type[tables.Row], list[dict[str, Any]]]


def made_up(tenants: int, many_keys: int) -> tuple[Rows, list[str]]:
    """The rows, and the ids of the keys."""
    now, chance = datetime.now(UTC), random.Random(0)
    models = [f"org/model-{number}" for number in range(MODELS)]
    tenant_ids = [f"tn_{new_id()}" for _ in range(tenants)]
    key_ids = [new_id() for _ in range(many_keys)]
    owners = [(tenant_ids[number % tenants], key_id) for number, key_id in enumerate(key_ids)]
    some = owners[:: max(1, len(owners) // tenants)]
    rows: Rows = {
        tables.Model: [{"id": model, "source": model, "pool": "default", "created_at": now} for model in models],
        tables.Tenant: [
            {"id": id_, "name": f"Customer {number} Ltd", "created_at": now} for number, id_ in enumerate(tenant_ids)
        ],
        tables.ApiKey: [
            {
                "id": key_id,
                "tenant_id": tenant_id,
                "lineage": key_id,
                "name": f"key of {tenant_id}",
                "secret_sha256": keys.hash_secret(SECRET),
                "scopes": ["embeddings", "rerank"],
                "created_at": now,
            }
            for tenant_id, key_id in owners
        ],
        tables.ModelGrant: [
            *({"tenant_id": id_, "key_id": None, "pattern": "org/*"} for id_ in tenant_ids),
            *({"tenant_id": id_, "key_id": None, "pattern": chance.choice(models), "deny": True} for id_ in tenant_ids),
            *({"tenant_id": id_, "key_id": key_id, "pattern": "org/model-1*"} for id_, key_id in some),
        ],
        tables.QuotaRule: [
            {"tenant_id": id_, "key_id": key_id, "model_pattern": "*", "kind": kind, "amount": 1000}
            for id_, key_id in [*((id_, None) for id_ in tenant_ids), *some]
            for kind in ("requests", "tokens")
        ],
        tables.TenantAlias: [
            {"tenant_id": id_, "alias": "embed", "model_id": chance.choice(models)} for id_ in tenant_ids
        ],
    }
    return rows, key_ids


def look_up(feed: SnapshotFeed, ids: list[str]) -> Numbers:
    """Seconds to find a key, to check one as a request brings it, and to find the model that it names."""
    snapshot, chance = feed.current, random.Random(1)
    asked = [chance.choice(ids) for _ in range(LOOKUPS)]
    found = _each(snapshot.keys[key_id] for key_id in asked)
    headers = [{b"authorization": f"Bearer sk-shoal-{key_id}-{SECRET}".encode()} for key_id in asked]
    checked = _each(authenticate(brought, snapshot) for brought in headers)
    entries = [snapshot.keys[key_id] for key_id in asked]
    allowed = [entry for entry in entries if not entry.grants]
    return {
        "lookup of a key": found / len(asked),
        "check of a credential": checked / len(asked),
        "choice of a model by a tenant's alias": _each(_try(snapshot, entry) for entry in allowed) / len(allowed),
    }


async def follow(database: Database, feed: SnapshotFeed, ids: list[str]) -> Numbers:
    """Seconds from a change's commit until it is in force, and for how long the loop was kept from others."""
    taken = []
    async with _stalls() as stalls:
        for key_id in ids:
            async with database.transaction() as session:
                await keys.revoke_key(session, Actor("benchmark", "here"), key_id)
            began = time.perf_counter()
            snapshot = await feed.refresh()
            taken.append(time.perf_counter() - began)
            if not snapshot.keys[key_id].revoked:
                raise RuntimeError("a change was not followed")
    return {
        "one change, median": median(taken),
        "one change, slowest": max(taken),
        "longest stall of a change": max(stalls),
    }


def _each(work: Iterator[object]) -> float:
    """Seconds to go through."""
    began = time.perf_counter()
    for _ in work:
        pass
    return time.perf_counter() - began


def _try(snapshot: Any, entry: Any) -> object:
    try:
        return find_model(snapshot, entry, "embed")
    except ModelNotFound as error:  # some tenants may not use the model that their alias means
        return error


@asynccontextmanager
async def _stalls() -> AsyncIterator[list[float]]:
    """By how many seconds a task that wants to run every millisecond ran late."""
    late = [0.0]

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            late.append(time.perf_counter() - began - TICK)

    ticking = asyncio.create_task(tick())
    try:
        yield late
        await asyncio.sleep(2 * TICK)
    finally:
        ticking.cancel()


def _table(numbers: Numbers, tenants: int, many_keys: int, kind: str) -> Table:
    targets = {
        "resident growth": f"under {MEMORY_TARGET / 1e6:.0f} MB",
        "lookup of a key": f"under {LOOKUP_TARGET * 1e6:.0f} µs",
    }
    return Table(
        f"{tenants:,} tenants, {many_keys:,} keys, {MODELS} models; {kind}",
        ("", "measured", "target"),
        [(name, _shown(name, number), targets.get(name, "")) for name, number in numbers.items()],
        "Each tenant has two grants, two limits and an alias, and one of its keys has a grant and two limits; each key "
        "has two scopes. Growth: of the process, from before the load to after it. A stall: for how long a task that "
        "wants to run every millisecond was kept from it. A change: the revocation of one key, from its commit to the "
        "snapshot in which it is in force, the database included.",
    )


def _shown(name: str, number: float) -> str:
    if "resident" in name:
        return f"{number / 1e6:.0f} MB"
    return f"{number * 1e6:.2f} µs" if number < 1e-3 else f"{number * 1e3:.1f} ms"


def _without_secrets(arguments: list[str]) -> list[str]:
    hidden = {place + 1 for place, word in enumerate(arguments) if word == "--database-url"}
    return ["…" if place in hidden else word for place, word in enumerate(arguments)]
