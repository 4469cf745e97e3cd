import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.errors import NotFound, RequestError
from gateway.services import usage_export
from gateway.services.tenants import create_tenant
from gateway.services.usage import UsageEvent, UsageRecorder
from gateway.services.usage_export import COLUMNS, export_usage, parse_moment, start_of_month

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
    monkeypatch.setattr(usage_export, "PAGE", 3)
    await record(database, tenants[0], *[START] * 8, *[START + timedelta(seconds=n) for n in range(7)])
    rows = list(csv.DictReader(io.StringIO(await text(database, "acme"))))
    assert len(rows) == len({row["id"] for row in rows}) == 15
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


async def test_it_comes_in_pieces_no_larger_than_a_page(database, tenants, monkeypatch) -> None:
    monkeypatch.setattr(usage_export, "PAGE", 3)
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
