"""A year of usage in bulk into an empty database: sums per hour, the records that they are of, and all other sums.

Tables are the program's own; what they hold is what it would have written itself, record by record.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from typing import Protocol

import asyncpg  # type: ignore[import-untyped]

from benchmarks.console.traffic import COLUMNS, Cells, Traffic
from gateway.db.minute_rows import add_to_minutes
from gateway.db.recount import recount
from gateway.db.session import Database
from gateway.services.usage.event import UsageEvent
from gateway.services.usage.minutes import sums_by_minute

FAILED = 503
AT_ONCE = 100_000
"""Rows of hours whose records SQLite writes in one transaction: its log would be as large as all of them."""
RECORD = (
    "id, time, tenant_id, tenant_name, key_id, model, revision, endpoint, lane, status, inputs, tokens, bytes_in, "
    "bytes_out, latency_ms, upstream_ms, request_id"
)
OF_ITS_HOUR = (
    "h.tenant_id, h.tenant_name, h.key_id, h.model, NULL, h.endpoint, h.lane, "
    f"CASE WHEN n.i < h.failed THEN {FAILED} ELSE 200 END, "
    "h.inputs / h.requests, h.tokens / h.requests, h.bytes_in / h.requests, h.bytes_out / h.requests, "
    "h.latency_ms / h.requests, h.upstream_ms / h.requests, ''"
)


class Bulk(Protocol):
    """A database that is filled."""

    async def settle(self) -> None:
        """Count what is there, as a database that lived did by itself."""

    async def insert(self, rows: Sequence[Cells]) -> None:
        """Add sums per hour."""

    async def records(self, now: datetime) -> None:
        """Make the records that the sums per hour are of, evenly over each hour, until now."""


async def fill_usage(database: Database, bulk: Bulk, traffic: Traffic, now: datetime) -> None:
    """Write it all."""
    for rows in traffic.rows():
        await bulk.insert(rows)
    await bulk.records(now)
    async with database.transaction() as session:
        await recount(session)
    recent = [event for rows in traffic.rows(len(traffic.hours) - 2) for row in rows for event in _events(row, now)]
    minutes = sums_by_minute((event for event in recent if now - event.time < timedelta(hours=2)), FAILED)
    if minutes:
        async with database.transaction() as session:
            await add_to_minutes(session, minutes)
    await bulk.settle()


class SqliteBulk:
    """By SQLite's own driver, without a thread between."""

    def __init__(self, database: Database) -> None:
        self._file = database.file

    async def insert(self, rows: Sequence[Cells]) -> None:
        """In one transaction."""
        holes = ", ".join("?" * len(COLUMNS))
        with closing(self._open()) as connection, connection:
            connection.executemany(
                f"INSERT INTO usage_hour ({', '.join(COLUMNS)}) VALUES ({holes})",  # noqa: S608 (words of ours)
                ((row[0], f"{row[1]:%Y-%m-%d %H:%M:%S.000000}", *row[2:]) for row in rows),
            )

    async def settle(self) -> None:
        """SQLite does so for nobody."""

    async def records(self, now: datetime) -> None:
        """Numbered by the row of their hour, so that the index of ids grows at its end."""
        hour, gone = f"{now:%Y-%m-%d %H:00:00.000000}", now.minute * 60 + now.second
        second = f"(2 * n.i + 1) * CASE WHEN h.hour = '{hour}' THEN {gone} ELSE 3600 END / (2 * h.requests)"
        with closing(self._open()) as connection:
            most, last = connection.execute("SELECT max(requests), max(rowid) FROM usage_hour").fetchone()
            connection.execute("CREATE TEMP TABLE n (i INTEGER PRIMARY KEY)")
            connection.executemany("INSERT INTO n VALUES (?)", ((place,) for place in range(most)))
            for start in range(0, last + 1, AT_ONCE):
                with connection:
                    connection.execute(
                        f"INSERT INTO usage_record ({RECORD}) "  # noqa: S608 (words of ours)
                        "SELECT printf('%032x', h.rowid * 1048576 + n.i), substr(h.hour, 1, 14) || "
                        f"printf('%02d:%02d.000000', {second} / 60, {second} % 60), {OF_ITS_HOUR} "
                        "FROM usage_hour h CROSS JOIN n "
                        "WHERE h.rowid >= ? AND h.rowid < ? AND n.i < h.requests",
                        (start, start + AT_ONCE),
                    )

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(str(self._file))
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -262144")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection


class PostgresBulk:
    """By COPY."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def insert(self, rows: Sequence[Cells]) -> None:
        """In one transaction."""
        connection = await asyncpg.connect(self._url)
        try:
            await connection.copy_records_to_table("usage_hour", records=rows, columns=COLUMNS)
        finally:
            await connection.close()

    async def settle(self) -> None:
        """As autovacuum would."""
        await self._run("VACUUM ANALYZE usage_hour, usage_day, usage_total, audit_event", "ANALYZE")

    async def _run(self, *statements: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            for statement in statements:
                await connection.execute(statement, timeout=600)
        finally:
            await connection.close()

    async def records(self, now: datetime) -> None:
        """Numbered in their order, so that the index of ids grows at its end."""
        hour, gone = f"{now:%Y-%m-%d %H:00:00+00}", now.minute * 60 + now.second
        span = f"CASE WHEN h.hour = '{hour}' THEN {gone} ELSE 3600 END"
        await self._run(
            "ALTER TABLE usage_record SET UNLOGGED",
            "CREATE TEMP SEQUENCE made CACHE 1000",
            f"INSERT INTO usage_record ({RECORD}) SELECT lpad(to_hex(nextval('made')), 32, '0')::uuid, "  # noqa: S608
            f"h.hour + make_interval(secs => (2 * n.i + 1) * {span} / (2 * h.requests)), {OF_ITS_HOUR} "
            "FROM usage_hour h CROSS JOIN LATERAL generate_series(0, h.requests - 1) AS n(i)",
        )


def _events(row: Cells, now: datetime) -> Sequence[UsageEvent]:
    """The records of a sum, as `Bulk.records` makes them."""
    facts = dict(zip(COLUMNS, row, strict=True))
    count = int(str(facts["requests"]))
    whole = now.replace(minute=0, second=0, microsecond=0)
    span = int((now - whole).total_seconds()) if facts["hour"] == whole else 3600
    same = {name: facts[name] for name in ("tenant_id", "tenant_name", "key_id", "model", "endpoint", "lane")}
    whole_numbers = {name: int(str(facts[name])) // count for name in ("inputs", "tokens", "bytes_in", "bytes_out")}
    times = {name: float(str(facts[name])) / count for name in ("latency_ms", "upstream_ms")}
    failed = int(str(facts["failed"]))
    begin = facts["hour"]
    if not isinstance(begin, datetime):
        raise TypeError(begin)
    return [
        UsageEvent(
            **{**same, **whole_numbers, **times},  # type: ignore[arg-type]
            revision=None,
            status=FAILED if place < failed else 200,
            time=begin + timedelta(seconds=(2 * place + 1) * span // (2 * count)),
        )
        for place in range(count)
    ]
