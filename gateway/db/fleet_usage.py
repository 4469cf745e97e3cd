"""SELECTs of what all tenants used, for operators of the fleet: from sums, never from records."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

from sqlalchemy import func, literal_column, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import UsageDay, UsageTotal
from gateway.db.usage_queries import Sums

Kind = Literal["model", "tenant", "key"]
Span = Literal["month", "year"]
DayPlace = tuple[date, str, str, str]
"""Where a row of days stands among those of all tenants: day, tenant, key, model."""
_OF_DAY: dict[Kind, Any] = {
    "model": col(UsageDay.model),
    "tenant": col(UsageDay.tenant_id),
    "key": col(UsageDay.tenant_id) + literal_column("'/'") + col(UsageDay.key_id),
}


class Ranked(NamedTuple):
    """A model, tenant or key and what was used."""

    name: str
    """The model, the tenant's id, or both ids of a tenant's key as `tenant/key`."""
    owner: str | None
    """The tenant's id; None of a model."""
    owner_name: str
    sums: Sums


class _Source(NamedTuple):
    """Rows that are to be added up by name."""

    kind: Kind
    table: Any
    name: Any
    owner: Any
    owner_name: Any
    within: Sequence[Any]
    """Which of them."""
    tenants: Any
    """Those of them that are of tenants, by id."""
    once: bool
    """Each name has one row."""

    def fitting(self, like: str) -> Sequence[Any]:
        """Which of them are called so, or belong to somebody who is; a tenant may have had several names."""
        if not like:
            return self.within
        if self.kind == "model":
            return [*self.within, self.name.icontains(like, autoescape=True)]
        named = self.owner_name.icontains(like, autoescape=True)
        whose = self.owner.in_(self.tenants.where(named))
        # Ids are small letters: to make them such once more would take longer than all else.
        return [*self.within, or_(whose, self.name.contains(like.lower(), autoescape=True))]


async def day_totals(session: AsyncSession, start: date, end: date) -> Sequence[tuple[date, Sums]]:
    """What was used by everybody on each of the days in [start, end), in their order; days without any are left out."""
    day = col(UsageTotal.start)
    chosen = select(day, *(col(getattr(UsageTotal, name)) for name in Sums._fields)).where(
        col(UsageTotal.kind) == "day", day >= start, day < end
    )
    return [(row[0], _sums(row[1:])) for row in await session.execute(chosen.order_by(day))]


async def ranked_of_day(
    session: AsyncSession, kind: Kind, day: date, *, like: str, after: tuple[int, str] | None, limit: int
) -> Sequence[Ranked]:
    """What was used most on one day; as `ranked`."""
    within, owner = [col(UsageDay.day) == day], col(UsageDay.tenant_id)
    tenants = select(owner).where(*within)
    source = _Source(kind, UsageDay, _OF_DAY[kind], owner, col(UsageDay.tenant_name), within, tenants, once=False)
    return await _most(session, source, like, after, limit)


async def ranked(
    session: AsyncSession,
    kind: Kind,
    span: Span,
    start: date,
    *,
    like: str,
    after: tuple[int, str] | None,
    limit: int,
) -> Sequence[Ranked]:
    """What was used most in the month or year that begins on a day: by tokens, then by name.

    `like` is a part of its name, or of its tenant's; `after` the tokens and the name at which the page before ended.
    """
    its_kind, owner, then = col(UsageTotal.kind), col(UsageTotal.owner), col(UsageTotal.start) == start
    prefix = {"month": "", "year": "year_"}[span]
    tenants = select(owner).where(its_kind == f"{prefix}tenant", then)
    name = owner if kind == "tenant" else col(UsageTotal.name)
    within = [its_kind == f"{prefix}{kind}", then]
    once = (span, kind) != ("year", "tenant")
    source = _Source(kind, UsageTotal, name, owner, col(UsageTotal.owner_name), within, tenants, once)
    return await _most(session, source, like, after, limit)


async def days(
    session: AsyncSession, start: date, end: date, *, after: DayPlace | None, limit: int
) -> Sequence[UsageDay]:
    """One page of all sums per day in [start, end), oldest first."""
    day = col(UsageDay.day)
    place = (day, col(UsageDay.tenant_id), col(UsageDay.key_id), col(UsageDay.model))
    chosen = select(UsageDay).where(day >= start, day < end)
    if after is not None:
        chosen = chosen.where(tuple_(*place) > tuple_(*after))
    return (await session.scalars(chosen.order_by(*place).limit(limit))).all()


async def _most(
    session: AsyncSession, source: _Source, like: str, after: tuple[int, str] | None, limit: int
) -> Sequence[Ranked]:
    """Where a name has several rows, tokens alone say which; only of these all is added up: a third of the time."""
    if source.once:
        return await _largest(session, source, like, after, limit)
    name, tokens = source.name, func.sum(source.table.tokens)
    chosen = select(name).where(*source.fitting(like))
    if after is not None:
        most, last = after
        chosen = chosen.having(or_(tokens < most, (tokens == most) & (name > last)))
    names = (await session.scalars(chosen.group_by(name).order_by(tokens.desc(), name).limit(limit))).all()
    owners = (func.max(source.owner), func.max(source.owner_name))
    whole = select(name, *owners, *(func.sum(getattr(source.table, one)) for one in Sums._fields))
    found = {}
    for row in await session.execute(whole.where(*source.within, name.in_(names)).group_by(name)):
        found[row[0]] = _ranked(source.kind, row)
    return [found[named] for named in names]


async def _largest(
    session: AsyncSession, source: _Source, like: str, after: tuple[int, str] | None, limit: int
) -> Sequence[Ranked]:
    """The same where there is nothing to add up."""
    name, tokens = source.name, col(source.table.tokens)
    sums = (col(getattr(source.table, one)) for one in Sums._fields)
    chosen = select(name, source.owner, source.owner_name, *sums).where(*source.fitting(like))
    if after is not None:
        most, last = after
        chosen = chosen.where(or_(tokens < most, (tokens == most) & (name > last)))
    found = await session.execute(chosen.order_by(tokens.desc(), name).limit(limit))
    return [_ranked(source.kind, row) for row in found]


def _ranked(kind: Kind, row: Sequence[Any]) -> Ranked:
    name, owner, owner_name, *sums = row
    return Ranked(name, None, "", _sums(sums)) if kind == "model" else Ranked(name, owner, owner_name, _sums(sums))


def _sums(values: Sequence[Any]) -> Sums:
    """Sums of bigint are decimals on PostgreSQL."""
    return Sums(*map(int, values[:7]), *map(float, values[7:]))
