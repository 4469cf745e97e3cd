"""What is asked of the demo's fleet: a month of it in the books, and more of the same while the demo runs."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.customers import NORTHWIND, Registered
from gateway.db.minute_rows import add_to_minutes
from gateway.db.session import Database
from gateway.db.usage_rows import add_to_days, add_to_hours, add_to_totals, touch_keys
from gateway.services.usage.event import UsageEvent
from gateway.services.usage.ledger import FAILED, HourKey, enter, enter_refused, hour_of, sums
from gateway.services.usage.minutes import refused_now, sums_by_minute
from gateway.services.usage.rollups import days_of, totals_of

DAYS = 45
HOUR = timedelta(hours=1)
EMBED, RERANK, CLASSIFY, EXTRACT = "/v1/embeddings", "/v1/rerank", "/v1/classify", "/v1/extract"
REFUSED = ("Harbour Legal", "contracts", "jinaai/jina-embeddings-v3", 3)
"""Requests of this key for this model, beyond its limit: so many a minute."""
ROUGH = (24, 31)
"""Minutes ago: from when to when a node was missed."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What a key asks of a model."""

    tenant: str
    key: str
    model: str
    endpoint: str
    rate: float
    """Requests a minute in the middle of a day."""
    tokens: int
    """Of a request, on average."""
    millis: float
    """Until the answer, as a rule."""


FLOWS = (
    Flow(NORTHWIND, "production", "BAAI/bge-m3", EMBED, 640, 210, 9),
    Flow(NORTHWIND, "production", "BAAI/bge-reranker-v2-m3", RERANK, 84, 1900, 31),
    Flow(NORTHWIND, "production", "urchade/gliner_multi-v2.1", EXTRACT, 60, 160, 19),
    Flow(NORTHWIND, "staging", "BAAI/bge-m3", EMBED, 12, 180, 9),
    Flow("Acme Search", "search-api", "Qwen/Qwen3-Embedding-0.6B", EMBED, 480, 96, 12),
    Flow("Acme Search", "reindex", "Snowflake/snowflake-arctic-embed-l-v2.0", EMBED, 120, 480, 22),
    Flow("Acme Search", "notebooks", "google/embeddinggemma-300m", EMBED, 9, 120, 11),
    Flow("Harbour Legal", "contracts", "jinaai/jina-embeddings-v3", EMBED, 190, 620, 24),
    Flow("Harbour Legal", "contracts", "dslim/bert-base-NER", EXTRACT, 40, 240, 28),
    Flow("Kiln & Clay", "shop", "sentence-transformers/all-MiniLM-L6-v2", EMBED, 75, 24, 6),
    Flow("Lab Notebooks", "jupyter", "intfloat/e5-base-v2", EMBED, 30, 130, 17),
    Flow("Lab Notebooks", "ci", "cardiffnlp/twitter-roberta-sentiment", CLASSIFY, 14, 60, 14),
    Flow("Zenith", "pilot", "BAAI/bge-m3", EMBED, 45, 260, 10),
)


class Books:
    """Brings usage into the database."""

    def __init__(self, database: Database, registered: Registered) -> None:
        self._database = database
        self._registered = registered
        self._chance = random.Random(7)  # the same fleet at every start

    async def write_past(self, now: datetime) -> None:
        """Sums of a month and of the last hour; its single records are left out."""
        recent = now - HOUR
        events = [
            event for minute in range(60) for event in self._events(recent + timedelta(minutes=minute), 60.0, now)
        ]
        hours = sorted([*sums(events), *self._past_hours(hour_of(recent))], key=_key)
        days = days_of(hours)
        async with self._database.transaction() as session:
            await add_to_hours(session, hours)
            await add_to_days(session, days)
            await add_to_totals(session, totals_of(days))
            await add_to_minutes(session, sums_by_minute(events, FAILED))
            for minute in range(60):
                many = {"interactive": self._chance.randrange(REFUSED[3] * 2)}
                await add_to_minutes(session, refused_now(many, recent + timedelta(minutes=minute)))
            uses = {
                key: now - timedelta(seconds=place * 40) for place, key in enumerate(self._registered.keys.values())
            }
            await touch_keys(session, uses)

    async def write_present(self, seconds: float) -> None:
        """What was asked for in the seconds that have just passed."""
        now = datetime.now(UTC)
        await enter(self._database, list(self._events(now - timedelta(seconds=seconds), seconds, now)))
        tenant, key, model, rate = REFUSED
        count = int(rate * seconds / 60 + self._chance.random())
        if count:
            place = HourKey(self._tenant(tenant), hour_of(now), self._key(tenant, key), model, EMBED, "interactive")
            await enter_refused(self._database, {place: (tenant, count)})

    def _events(self, start: datetime, seconds: float, now: datetime) -> Iterator[UsageEvent]:
        ago = (now - start).total_seconds() / 60
        rough = ROUGH[0] < ago <= ROUGH[1]
        swell = 1 + 0.16 * math.sin(start.timestamp() / 400) + 0.05 * self._chance.uniform(-1, 1) + 0.35 * rough
        for flow in FLOWS:
            for _ in range(round(flow.rate * swell * seconds / 60 + self._chance.uniform(-0.5, 0.5))):
                millis = flow.millis * self._chance.lognormvariate(0.9 * rough, 0.45)
                yield UsageEvent(
                    tenant_id=self._tenant(flow.tenant),
                    tenant_name=flow.tenant,
                    key_id=self._key(flow.tenant, flow.key),
                    model=flow.model,
                    revision=None,
                    endpoint=flow.endpoint,
                    status=503 if self._chance.random() < (0.03 if rough else 0.0002) else 200,
                    inputs=1 + flow.tokens // 120,
                    tokens=max(4, round(flow.tokens * self._chance.lognormvariate(-0.1, 0.5))),
                    bytes_in=flow.tokens * 5,
                    bytes_out=4096,
                    latency_ms=millis + 0.6,
                    upstream_ms=millis * 0.94,
                    time=start + timedelta(seconds=self._chance.random() * seconds),
                )

    def _past_hours(self, end: datetime) -> Iterator[dict[str, Any]]:
        for back in range(1, DAYS * 24):
            hour = end - back * HOUR
            share = _of_a_day(hour) * (1 - back / (DAYS * 24 * 2))  # it grows
            for flow in FLOWS:
                requests = round(flow.rate * 60 * share * self._chance.uniform(0.85, 1.15))
                yield {
                    "tenant_id": self._tenant(flow.tenant), "tenant_name": flow.tenant, "hour": hour,
                    "key_id": self._key(flow.tenant, flow.key), "model": flow.model, "endpoint": flow.endpoint,
                    "lane": "interactive", "requests": requests, "failed": round(requests * 0.0003),
                    "refused": round(requests * 0.004) if flow.tenant == REFUSED[0] else 0,
                    "inputs": requests * (1 + flow.tokens // 120), "tokens": requests * flow.tokens,
                    "bytes_in": requests * flow.tokens * 5, "bytes_out": requests * 4096,
                    "latency_ms": requests * flow.millis * 1.1, "upstream_ms": requests * flow.millis,
                }  # fmt: skip

    def _tenant(self, name: str) -> str:
        return self._registered.tenants[name]

    def _key(self, tenant: str, name: str) -> str:
        return self._registered.keys[tenant, name]


def _of_a_day(hour: datetime) -> float:
    """How much is asked for then: little by night and on weekends."""
    waking = 0.55 - 0.45 * math.cos((hour.hour - 3) * math.tau / 24)
    return waking * (0.45 if hour.weekday() >= 5 else 1.0)


def _key(row: dict[str, Any]) -> list[str]:
    return [str(row[name]) for name in ("tenant_id", "hour", "key_id", "model", "endpoint", "lane")]
