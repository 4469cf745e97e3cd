"""What all tenants used in a day, a month or a year (UTC): from sums, so that it costs the same at any load."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import fleet_usage
from gateway.db.fleet_usage import DayPlace, Ranked
from gateway.db.tables import UsageDay
from gateway.services.register.names import known_spelling
from gateway.services.usage.export import PAGE, Cells, Readable, csv_lines
from gateway.services.usage.periods import Period
from gateway.services.usage.summary import UsageRow, added

Kind = fleet_usage.Kind
COLUMNS = (
    "day", "tenant", "key_id", "model",
    "requests", "failed", "refused", "inputs", "tokens", "bytes_in", "bytes_out", "latency_ms", "upstream_ms",
    "tenant_id",
)  # fmt: skip
"""Of the export, in this order; latencies are sums, too."""


@dataclass(frozen=True, slots=True)
class FleetRow:
    """A model, a tenant or a key, and what was used of it or by it."""

    used: UsageRow
    """`name` is the model, or the id of the tenant or key."""
    place: str
    """Where it stands among those with as many tokens."""
    tenant_id: str | None
    """None of a model."""
    tenant_name: str
    """The last one that is known of the time; empty of a model."""


async def fleet_parts(session: AsyncSession, period: Period) -> Sequence[UsageRow]:
    """What was used on each day of a month or in each month of a year, or on the one day; empty ones are left out."""
    totals = await fleet_usage.day_totals(session, period.start, period.end)
    by_month = period.span == "year"
    return added((Period.of(day, "month").name if by_month else day.isoformat(), sums) for day, sums in totals)


async def fleet_usage_by(
    session: AsyncSession,
    period: Period,
    kind: Kind,
    *,
    like: str = "",
    after: tuple[int, str] | None = None,
    limit: int,
) -> Sequence[FleetRow]:
    """The models, tenants or keys with most tokens, those with as many by name.

    `like` is a part of a name or of a tenant's; `after` the tokens and the `place` at which the page before ended.
    """
    part = known_spelling(like)
    if part is None:
        return []
    if period.span == "day":
        rows = await fleet_usage.ranked_of_day(session, kind, period.start, like=part, after=after, limit=limit)
    else:
        rows = await fleet_usage.ranked(session, kind, period.span, period.start, like=part, after=after, limit=limit)
    return [_row(row) for row in rows]


async def export_fleet_usage(database: Readable, period: Period) -> AsyncIterator[str]:
    """All of it as CSV in pieces: a line for each day, tenant, key and model, oldest first.

    Every page is a transaction of its own, so a slow reader holds nothing open.
    """
    yield csv_lines([COLUMNS])
    after: DayPlace | None = None
    while True:
        async with database.reading() as session:
            page = await fleet_usage.days(session, period.start, period.end, after=after, limit=PAGE)
        yield csv_lines(map(_cells, page))
        if len(page) < PAGE:
            return
        last = page[-1]
        after = (last.day, last.tenant_id, last.key_id, last.model)


def _row(row: Ranked) -> FleetRow:
    name = row.name.removeprefix(f"{row.owner}/")
    return FleetRow(UsageRow(name, **row.sums._asdict()), row.name, row.owner, row.owner_name)


def _cells(row: UsageDay) -> Cells:
    counts = (getattr(row, name) for name in COLUMNS[4:-1])
    return (row.day.isoformat(), row.tenant_name, row.key_id, row.model, *counts, row.tenant_id)
