"""Who used what in which hours: a year of ten million requests, as the sums per hour that they come to.

Use follows Zipf's law over pairs of key and model. Most of them are used in bursts of a few hours on some days, the
largest at every hour. All requests of an hour are alike, so that records and sums agree by construction.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from benchmarks.console.size import Size, key_id, model_id, tenant_name

EXPONENT = 0.9
PAIRS = 3
"""Models that each key uses."""
BURST = 4
"""Hours on end in which most are used on a day."""
PER_HOUR = 3.3
"""Requests in an hour in which a small one is used at all."""
CHUNK = 200_000
SUMMED = ("requests", "failed", "refused", "inputs", "tokens", "bytes_in", "bytes_out", "latency_ms", "upstream_ms")
COLUMNS = ("tenant_id", "hour", "key_id", "model", "endpoint", "lane", "tenant_name", *SUMMED)
"""Of the rows, in this order."""

Cells = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and a model that it uses."""

    tenant_id: str
    tenant_name: str
    key_id: str
    model: str
    endpoint: str
    lane: str
    tokens: int
    """Of each request."""
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Sums per hour: places in `pairs` and `hours`, and how many requests; in the order of tenants and hours."""

    pairs: Sequence[Pair]
    hours: Sequence[datetime]
    pair: NDArray[np.int64]
    hour: NDArray[np.int64]
    requests: NDArray[np.int64]

    @property
    def heaviest(self) -> Pair:
        """Which used most."""
        return self.pairs[int(np.bincount(self.pair, weights=self.requests).argmax())]

    def rows(self, first_hour: int = 0) -> Iterator[list[Cells]]:
        """The sums from this hour on in lists of many: cells as `COLUMNS` names them."""
        chosen = np.flatnonzero(self.hour >= first_hour)
        for start in range(0, len(chosen), CHUNK):
            places = chosen[start : start + CHUNK]
            columns = (self.pair[places].tolist(), self.hour[places].tolist(), self.requests[places].tolist())
            yield [
                self._row(self.pairs[pair], self.hours[hour], count) for pair, hour, count in zip(*columns, strict=True)
            ]

    @staticmethod
    def _row(pair: Pair, hour: datetime, count: int) -> Cells:
        place = (pair.tenant_id, hour, pair.key_id, pair.model, pair.endpoint, pair.lane, pair.tenant_name)
        failed, refused = (1 if count > 40 else 0), (count // 25 if pair.tokens % 7 == 0 else 0)
        latency = pair.latency_ms * count
        return (
            *place, count, failed, refused, 2 * count, pair.tokens * count, 400 * count, 3000 * count,
            latency, latency * 0.75,
        )  # fmt: skip


def make_traffic(size: Size, now: datetime, seed: int = 1) -> Traffic:
    """The traffic of so many days before `now`, its hour included."""
    chance = np.random.default_rng(seed)
    pairs = _pairs(size, random.Random(seed))
    hours = size.days * 24
    weights = 1 / chance.permutation(np.arange(1, len(pairs) + 1)) ** EXPONENT
    wanted = np.maximum((weights / weights.sum() * size.records).astype(np.int64), 1)
    wanted[wanted.argmax()] += size.records - wanted.sum()
    placed = [_hours_of(int(count), hours, chance) for count in wanted]
    pair = np.repeat(np.arange(len(pairs)), [len(found) for found in placed])
    hour = np.concatenate(placed)
    share = np.concatenate([_split(int(count), len(found)) for count, found in zip(wanted, placed, strict=True)])
    tenant = pair // (size.keys * PAIRS)
    order = np.lexsort((pair, hour, tenant))
    begin = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    return Traffic(
        pairs, [begin + timedelta(hours=place) for place in range(hours)], pair[order], hour[order], share[order]
    )


def _pairs(size: Size, chance: random.Random) -> Sequence[Pair]:
    """In the order of tenants; the models of one key differ."""
    return [
        Pair(
            tenant_id=tenant_id,
            tenant_name=tenant_name(tenant),
            key_id=key_id(tenant, number),
            model=model_id(model),
            endpoint="/v1/rerank" if model % 4 == 1 else "/v1/embeddings",
            lane="bulk" if number == size.keys - 1 else "interactive",
            tokens=chance.randrange(20, 400),
            latency_ms=chance.lognormvariate(3.3, 0.8),
        )
        for tenant, tenant_id in enumerate(size.tenant_ids)
        for number in range(size.keys)
        for model in chance.sample(range(size.models), PAIRS)
    ]


def _hours_of(count: int, hours: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """The hours in which a pair is used: on some days, a few on end."""
    many = min(max(int(count / PER_HOUR), 1), hours)
    days = hours // 24
    burst = min(max(BURST, -(-many // days)), 24)
    chosen = chance.choice(days, size=min(-(-many // burst), days), replace=False)
    begin = chance.integers(0, 25 - burst)
    return np.asarray((chosen[:, None] * 24 + begin + np.arange(burst)).ravel()[:many], dtype=np.int64)


def _split(count: int, parts: int) -> NDArray[np.int64]:
    """As many in each, the first of them one more."""
    shares = np.full(parts, count // parts, dtype=np.int64)
    shares[: count % parts] += 1
    return shares
