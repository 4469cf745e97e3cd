"""What a tenant used, in few rows: from the sums per hour, so that it costs the same however much that was."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import fleet_queries, usage_queries
from gateway.db.usage_queries import Sums
from gateway.errors import RequestError
from gateway.services.usage.tenant import tenant_with_usage

By = Literal["day", "model", "key"]
COLUMNS: dict[By, str] = {"day": "hour", "model": "model", "key": "key_id"}


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One day (`2026-11-05`, UTC), model id or key id, and what was used."""

    name: str
    requests: int
    failed: int
    """Of the requests, those that were admitted and came to nothing."""
    refused: int
    """Besides the requests, those that were not admitted."""
    inputs: int
    tokens: int
    bytes_in: int
    bytes_out: int
    latency_ms: float
    """Of all requests together."""
    upstream_ms: float


async def summarize_usage(
    session: AsyncSession, tenant: str, *, start: datetime, end: datetime, by: By
) -> Sequence[UsageRow]:
    """What the tenant (its name or id) used in the hours that begin in [start, end), by name."""
    if start >= end:
        raise RequestError(f"The time from {start:%Y-%m-%d} to {end:%Y-%m-%d} is empty.", param="from")
    tenant_id = await tenant_with_usage(session, tenant)
    totals: dict[str, Sums] = {}
    for value, sums in await usage_queries.usage_by(session, tenant_id, COLUMNS[by], start=start, end=end):
        name = f"{value:%Y-%m-%d}" if isinstance(value, datetime) else str(value)
        totals[name] = _added(totals[name], sums) if name in totals else sums
    return [UsageRow(name, **sums._asdict()) for name, sums in totals.items()]


async def recent_tokens(session: AsyncSession, tenant_ids: Iterable[str], start: datetime) -> Mapping[str, int]:
    """The tokens that each of these tenants used in the hours from `start` on, for lists in which many stand."""
    return await fleet_queries.tokens_of(session, tuple(tenant_ids), start)


def _added(one: Sums, other: Sums) -> Sums:
    return Sums(**{name: getattr(one, name) + getattr(other, name) for name in Sums._fields})
