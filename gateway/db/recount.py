"""Sums per day and over all tenants, made anew from those per hour: for what older versions or hands left behind."""

from typing import Any

from sqlalchemy import Date, delete, func, insert, literal, literal_column, null, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import UsageDay, UsageHour, UsageTotal
from gateway.db.usage_rows import COUNTED

LOCK = "LOCK TABLE usage_day, usage_total IN SHARE ROW EXCLUSIVE MODE"
"""Gateways that are about to add to them wait, and then add to what was made here."""


async def recount(session: AsyncSession) -> None:
    """Replace them all. Usage that comes meanwhile waits on disk, and is added when the transaction ends."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    if on_postgresql:
        await session.execute(text(LOCK))  # SQLite has locked before
    for table in (UsageTotal, UsageDay):
        await session.execute(delete(table))
    hour, day = col(UsageHour.hour), col(UsageDay.day)
    if on_postgresql:
        its_day: Any = func.date(func.timezone("UTC", hour), type_=Date)
        month, year = (func.date(func.date_trunc(span, day), type_=Date) for span in ("month", "year"))
    else:
        its_day = func.date(hour, type_=Date)
        month, year = (func.date(day, f"start of {span}", type_=Date) for span in ("month", "year"))
    place = (col(UsageHour.tenant_id), its_day.label("day"), col(UsageHour.key_id), col(UsageHour.model))
    days = select(*place, func.max(UsageHour.tenant_name), *_summed(UsageHour)).group_by(
        col(UsageHour.tenant_id), literal_column("day"), col(UsageHour.key_id), col(UsageHour.model)
    )
    await session.execute(
        insert(UsageDay).from_select(["tenant_id", "day", "key_id", "model", "tenant_name", *COUNTED], days)
    )
    tenant, nobody = (func.max(UsageDay.tenant_id), func.max(UsageDay.tenant_name)), (null(), literal(""))
    within = col(UsageDay.tenant_id) + literal_column("'/'")
    key, named = within + col(UsageDay.key_id), within + col(UsageDay.tenant_name)
    for kind, start, name, owner in (
        ("day", day, literal(""), nobody),
        ("model", month, col(UsageDay.model), nobody),
        ("tenant", month, col(UsageDay.tenant_id), tenant),
        ("key", month, key, tenant),
        ("year_model", year, col(UsageDay.model), nobody),
        ("year_tenant", year, named, tenant),
        ("year_key", year, key, tenant),
    ):
        totals = select(literal(kind), start.label("begin"), name.label("name"), *owner, *_summed(UsageDay))
        by = ("begin",) if kind == "day" else ("begin", "name")
        await session.execute(
            insert(UsageTotal).from_select(
                ["kind", "start", "name", "owner", "owner_name", *COUNTED],
                totals.group_by(*(literal_column(label) for label in by)),
            )
        )


def _summed(table: Any) -> list[Any]:
    return [func.sum(getattr(table, name)) for name in COUNTED]
