"""The last hour, minute by minute, from sums."""

import random
from datetime import UTC, datetime, timedelta
from statistics import quantiles

import pytest
from sqlmodel import select

from gateway.db.tables import UsageMinute
from gateway.services.usage.event import UsageEvent
from gateway.services.usage.ledger import HourKey, enter, enter_refused, hour_of
from gateway.services.usage.minutes import EDGES, KEPT, Minute, forget_old_minutes, last_minutes, minute_of, quantile
from gateway.services.usage.recorder import UsageRecorder

pytestmark = pytest.mark.anyio

NOW = datetime(2028, 2, 29, 12, 30, 15, tzinfo=UTC)


def event(ago: float, latency_ms: float = 8.0, **options) -> UsageEvent:
    facts = {
        "tenant_id": "tn_1", "tenant_name": "acme", "key_id": "key1", "model": "org/m", "revision": None,
        "endpoint": "/v1/embeddings", "status": 200, "inputs": 2, "tokens": 7, "bytes_in": 40,
        "latency_ms": latency_ms, "upstream_ms": latency_ms / 2, "time": NOW - timedelta(seconds=ago),
    }  # fmt: skip
    return UsageEvent(**facts | options)


async def test_each_of_the_last_minutes_is_there_and_sums_what_was_asked_for_in_it(database, read) -> None:
    await enter(database, [event(0), event(15, tenant_id="tn_2", status=500), event(16), event(3600 * 3)])
    found = await read(last_minutes, NOW)
    assert [minute.start for minute in found] == [minute_of(NOW) - timedelta(minutes=ago) for ago in range(59, -1, -1)]
    assert (found[-1].requests, found[-1].failed, found[-1].tokens) == (2, 1, 14)
    assert found[-2].requests == 1
    assert found[-1].upstream == pytest.approx(0.5)
    assert found[0] == Minute(found[0].start)


async def test_a_record_that_is_sent_again_counts_once(database, read) -> None:
    events = [event(seconds) for seconds in range(50)]
    await enter(database, events)
    await enter(database, events[10:])
    assert sum(minute.requests for minute in await read(last_minutes, NOW)) == 50


async def test_latency_is_that_of_the_interactive_lane(database, read) -> None:
    chance = random.Random(3)
    interactive = [event(5, chance.lognormvariate(3, 1)) for _ in range(2000)]
    await enter(database, interactive + [event(5, 9000.0, lane="bulk") for _ in range(500)])
    last = (await read(last_minutes, NOW))[-1]
    exact = quantiles([one.latency_ms for one in interactive], n=20)
    assert last.requests == 2500
    assert last.median == pytest.approx(exact[9], rel=0.08)
    assert last.slow == pytest.approx(exact[18], rel=0.08)


def test_a_quantile_lies_within_its_bucket() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({0: 0}, 0.5) is None
    assert quantile({len(EDGES): 3}, 0.5) == EDGES[-1]
    for bucket in range(1, len(EDGES)):
        assert EDGES[bucket - 1] <= (quantile({bucket: 7}, 0.5) or 0) <= EDGES[bucket]


async def test_what_was_refused_counts_in_the_minute_in_which_it_is_written(database, read) -> None:
    key = HourKey("tn_1", hour_of(NOW), "key1", "org/m", "/v1/embeddings", "interactive")
    await enter_refused(database, {key: ("acme", 3), key._replace(key_id="key2"): ("acme", 4)})
    found = await read(last_minutes, datetime.now(UTC))
    assert sum(minute.refused for minute in found) == 7
    assert all(minute.median is None for minute in found)


async def test_old_minutes_are_forgotten_and_the_others_are_not(database, read) -> None:
    await enter(database, [event(0), event(KEPT.total_seconds() + 70), event(KEPT.total_seconds() - 70)])
    await forget_old_minutes(database, NOW)
    async with database.reading() as session:
        assert len((await session.scalars(select(UsageMinute))).all()) == 2


async def test_the_recorder_forgets_them(database) -> None:
    now = datetime.now(UTC)
    await enter(database, [event(0, time=now - KEPT - timedelta(minutes=2)), event(0, time=now)])
    ticks = iter([0.0, 0.0, 1000.0])
    recorder = UsageRecorder(database, clock=lambda: next(ticks))
    await recorder._flush_what_is_due()
    await recorder.close()
    async with database.reading() as session:
        [left] = (await session.scalars(select(UsageMinute))).all()
    assert left.minute == minute_of(now)
