import asyncio
import csv
import io
import json
from datetime import UTC, datetime

import pytest

from gateway.db.session import Database
from gateway.services.usage import UsageEvent, UsageRecorder
from gateway.settings import sqlite_url


@pytest.fixture
def tenant(shoal) -> str:
    return shoal("tenant", "create", "acme", "--json").json["id"]


def record(data_dir, tenant_id: str, *times: datetime) -> None:
    async def write() -> None:
        database = Database.open(sqlite_url(data_dir))
        recorder = UsageRecorder(database)
        for moment in times:
            recorder.record(
                UsageEvent(
                    tenant_id=tenant_id,
                    tenant_name="acme",
                    key_id="key1",
                    model="org/m",
                    revision=None,
                    endpoint="/v1/embeddings",
                    status=200,
                    inputs=2,
                    tokens=7,
                    bytes_in=5,
                    latency_ms=1,
                    time=moment,
                )
            )
        await recorder.close()
        await database.close()

    asyncio.run(write())


def test_without_dates_it_is_this_month_until_now(shoal, data_dir, tenant) -> None:
    record(data_dir, tenant, datetime.now(UTC), datetime(2020, 1, 1, tzinfo=UTC))
    [row] = csv.DictReader(io.StringIO(shoal("usage", "export", "--tenant", "acme").out))
    assert (row["tenant"], row["tokens"], row["inputs"], row["status"]) == ("acme", "7", "2", "200")


def test_dates_say_from_which_day_and_before_which(shoal, data_dir, tenant) -> None:
    record(data_dir, tenant, *(datetime(2026, 11, day, 12, tzinfo=UTC) for day in (1, 2, 3)))
    words = ("usage", "export", "--tenant", tenant, "--from", "2026-11-02", "--to", "2026-11-03", "--format", "jsonl")
    [line] = shoal(*words).out.splitlines()
    assert json.loads(line)["time"] == "2026-11-02T12:00:00.000Z"


def test_what_can_not_be_done_is_one_sentence(run, refused, data_dir, tenant) -> None:
    assert "'2026-13-01' is no date" in refused("usage", "export", "--tenant", "acme", "--from", "2026-13-01")
    assert "No tenant is called 'nobody'" in refused("usage", "export", "--tenant", "nobody")
    backwards = ("--from", "2026-11-02", "--to", "2026-11-01")
    assert "is empty" in refused("usage", "export", "--tenant", "acme", *backwards)
    assert run("usage", "export", "--tenant", "acme", "--format", "xml", "--data-dir", str(data_dir)).code == 2
