import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.errors import NotFound, RequestError
from gateway.services.register.tenants import create_tenant
from gateway.services.usage.export import (
    COLUMNS,
    SUM_COLUMNS,
    csv_lines,
    export_usage,
    parse_moment,
    start_of_month,
)
from gateway.services.usage.ledger import enter
from gateway.services.usage.recorder import UsageEvent, UsageRecorder
from gateway.services.usage.summary import recent_tokens, summarize_usage

pytestmark = pytest.mark.anyio

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
async def tenants(write):
    return [await write(create_tenant, name) for name in ("acme", 'quoted, "co"')]


async def record(database, tenant, *times) -> None:
    recorder = UsageRecorder(database)
    for number, moment in enumerate(times):
        recorder.record(
            UsageEvent(
                tenant_id=tenant.id,
                tenant_name=tenant.name,
                key_id="key1",
                model="org/m",
                revision=None,
                endpoint="/v1/embeddings",
                status=200,
                inputs=1,
                tokens=number,
                bytes_in=5,
                latency_ms=0.25,
                time=moment,
            )
        )
    await recorder.flush()


async def text(database, tenant, form="csv", start=START, end=END) -> str:
    return "".join([part async for part in export_usage(database, tenant, start=start, end=end, form=form)])


async def test_csv_begins_with_the_promised_columns_and_has_a_line_per_request(database, tenants) -> None:
    await record(database, tenants[1], START + timedelta(days=3, milliseconds=5))
    rows = list(csv.reader(io.StringIO(await text(database, tenants[1].id))))
    assert tuple(rows[0][:8]) == ("time", "tenant", "key_id", "model", "endpoint", "status", "inputs", "tokens")
    assert tuple(rows[0]) == COLUMNS
    expected = ["2026-11-04T00:00:00.005Z", 'quoted, "co"', "key1", "org/m", "/v1/embeddings", "200", "1", "0", ""]
    assert rows[1][:9] == expected
    assert len(rows) == 2


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1", "\uff20x"])
async def test_no_cell_of_a_csv_is_a_formula(database, write, name) -> None:
    tenant = await write(create_tenant, name)
    await record(database, tenant, START)
    [_, line] = csv.reader(io.StringIO(await text(database, tenant.id)))
    assert line[1] == f"'{name}"
    assert json.loads(await text(database, tenant.id, "jsonl"))["tenant"] == name


async def test_every_cell_of_a_csv_is_looked_at_and_numbers_stay() -> None:
    cells = ["=a", "\ta", "\ra", "\na", "-", "a=b", "", -1, None, 0.5]
    assert csv_lines([cells]) == "'=a,'\ta,'\ra,\"'\na\",'-,a=b,,-1,,0.5\n"


async def test_json_lines_hold_the_same(database, tenants) -> None:
    await record(database, tenants[0], START, START + timedelta(hours=1))
    lines = [json.loads(line) for line in (await text(database, "acme", "jsonl")).splitlines()]
    assert [tuple(line) for line in lines] == [COLUMNS, COLUMNS]
    assert (lines[1]["tokens"], lines[1]["revision"], lines[1]["time"]) == (1, None, "2026-11-01T01:00:00.000Z")


async def test_a_record_at_the_start_is_in_and_one_at_the_end_is_out(database, tenants) -> None:
    await record(database, tenants[0], START - timedelta(microseconds=1), START, END - timedelta(microseconds=1), END)
    rows = list(csv.DictReader(io.StringIO(await text(database, "acme"))))
    assert [row["tokens"] for row in rows] == ["1", "2"]


async def test_another_tenants_usage_is_not_in_it(database, tenants) -> None:
    await record(database, tenants[0], START)
    assert (await text(database, tenants[1].name)).count("\n") == 1
    assert await text(database, tenants[1].name, "jsonl") == ""


async def test_pages_join_without_gap_or_double_even_where_times_are_equal(database, tenants, monkeypatch) -> None:
    monkeypatch.setattr("gateway.services.usage.export.PAGE", 3)
    await record(database, tenants[0], *[START] * 8, *[START + timedelta(seconds=n) for n in range(7)])
    rows = list(csv.DictReader(io.StringIO(await text(database, "acme"))))
    assert len(rows) == len({row["id"] for row in rows}) == 15
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


async def test_it_comes_in_pieces_no_larger_than_a_page(database, tenants, monkeypatch) -> None:
    monkeypatch.setattr("gateway.services.usage.export.PAGE", 3)
    await record(database, tenants[0], *[START] * 10)
    parts = [part async for part in export_usage(database, "acme", start=START, end=END, form="jsonl")]
    assert max(part.count("\n") for part in parts) == 3


async def test_what_can_not_be_exported_is_said(database, tenants) -> None:
    with pytest.raises(NotFound, match="No tenant is called 'nobody'"):
        await text(database, "nobody")
    with pytest.raises(RequestError, match="The time from 2026-12-01 to 2026-11-01 is empty"):
        await text(database, "acme", start=END, end=START)


def test_a_moment_is_a_date_or_a_time_in_utc() -> None:
    assert parse_moment("2026-11-01") == START
    assert parse_moment("2026-11-01T02:00+02:00") == START
    with pytest.raises(RequestError, match="'yesterday' is no date; write it like 2026-11-01"):
        parse_moment("yesterday")
    assert start_of_month(date(2028, 2, 29)) == datetime(2028, 2, 1, tzinfo=UTC)


async def use(database, tenant, moment, **options) -> None:
    facts = {"key_id": "key1", "model": "org/m", "revision": None, "endpoint": "/v1/embeddings", "status": 200}
    numbers = {"inputs": 1, "tokens": 10, "bytes_in": 5, "bytes_out": 50, "latency_ms": 0.5, "upstream_ms": 0.25}
    event = UsageEvent(tenant_id=tenant.id, tenant_name=tenant.name, time=moment, **facts | numbers | options)
    await enter(database, [event])


async def sums(database, by, start=START, end=END) -> list[dict[str, str]]:
    parts = [part async for part in export_usage(database, "acme", start=start, end=end, form="csv", by=by)]
    return list(csv.DictReader(io.StringIO("".join(parts))))


async def test_sums_by_hour_day_and_month_agree_with_the_records(database, tenants, monkeypatch) -> None:
    monkeypatch.setattr("gateway.services.usage.export.PAGE", 3)
    hours = [timedelta(hours=hour) for hour in (0, 1, 23, 24, 47, 48, 719)]
    for hour in hours:
        for key in ("key1", "key2"):
            await use(database, tenants[0], START + hour, key_id=key, status=500 if key == "key2" else 200)
    await use(database, tenants[1], START, tokens=10**6)
    await use(database, tenants[0], END, tokens=10**6)
    by_hour, by_day, by_month = [await sums(database, by) for by in ("hour", "day", "month")]
    assert [row["time"] for row in by_day if row["key_id"] == "key1"] == [
        "2026-11-01T00:00:00.000Z", "2026-11-02T00:00:00.000Z", "2026-11-03T00:00:00.000Z", "2026-11-30T00:00:00.000Z",
    ]  # fmt: skip
    assert [(row["time"], row["key_id"], row["tokens"], row["failed"]) for row in by_month] == [
        ("2026-11-01T00:00:00.000Z", "key1", "70", "0"), ("2026-11-01T00:00:00.000Z", "key2", "70", "7"),
    ]  # fmt: skip
    assert len(by_hour) == 14
    for name in ("requests", "inputs", "tokens", "bytes_in", "bytes_out", "latency_ms", "upstream_ms"):
        totals = {sum(float(row[name]) for row in rows) for rows in (by_hour, by_day, by_month)}
        assert len(totals) == 1, name


async def test_sums_as_json_lines_have_numbers_and_all_columns(database, tenants) -> None:
    await use(database, tenants[0], START)
    parts = [part async for part in export_usage(database, "acme", start=START, end=END, form="jsonl", by="day")]
    [line] = [json.loads(line) for line in "".join(parts).splitlines()]
    assert tuple(line) == SUM_COLUMNS
    assert (line["tokens"], line["latency_ms"], line["refused"]) == (10, 0.5, 0)


async def test_what_a_deleted_tenant_used_is_found_by_its_id(database, tenants) -> None:
    class Gone:
        id, name = "tn_gone", "gone"

    await use(database, Gone, START)
    assert (await text(database, "tn_gone")).count("\n") == 2
    with pytest.raises(NotFound):
        await text(database, "gone")


async def test_a_summary_by_day_model_and_key(database, tenants, read) -> None:
    await use(database, tenants[0], START)
    await use(database, tenants[0], START + timedelta(hours=5), model="org/n", key_id="key2", status=503)
    await use(database, tenants[0], START + timedelta(days=1), model="org/n")
    await use(database, tenants[1], START, tokens=10**6)
    await use(database, tenants[0], END, tokens=10**6)
    found = {
        by: [
            (row.name, row.requests, row.failed, row.tokens)
            for row in await read(summarize_usage, "acme", start=START, end=END, by=by)
        ]
        for by in ("day", "model", "key")
    }
    assert found == {
        "day": [("2026-11-01", 2, 1, 20), ("2026-11-02", 1, 0, 10)],
        "model": [("org/m", 1, 0, 10), ("org/n", 2, 1, 20)],
        "key": [("key1", 2, 0, 20), ("key2", 1, 1, 10)],
    }
    with pytest.raises(RequestError, match="is empty"):
        await read(summarize_usage, "acme", start=END, end=START, by="day")


async def test_recent_tokens_are_of_the_named_tenants_and_the_hours_since(database, tenants) -> None:
    acme, other = tenants
    await record(database, acme, START, START + timedelta(hours=5), START + timedelta(hours=6))
    await record(database, other, START + timedelta(hours=5), START + timedelta(hours=5))
    async with database.reading() as session:
        since = START + timedelta(hours=5)
        assert await recent_tokens(session, [acme.id, other.id], since) == {acme.id: 3, other.id: 1}
        assert await recent_tokens(session, [other.id], since) == {other.id: 1}
        assert await recent_tokens(session, [], since) == {}
