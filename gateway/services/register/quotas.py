"""Quota rules: how much a tenant, or one of its keys, may use of the models that match (services/quota/ keeps them)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import QuotaRule
from gateway.errors import RequestError
from gateway.services.quota.budgets import month_used
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.names import checked_pattern
from gateway.services.register.owners import find_owner
from gateway.services.register.tenants import tenant_row
from gateway.services.register.versions import count_change
from policies.quota import Kind, Limit, moment_of

LARGEST: Mapping[Kind, int] = {
    "requests": 10_000_000,
    "tokens": 1_000_000_000_000,
    "tokens_per_month": 1_000_000_000_000_000,
    "concurrency": 1_000_000,
}
"""Beyond these a limit is a slip of the hand: leave it out instead."""
WORDS: Mapping[Kind, str] = {
    "requests": "requests per minute",
    "tokens": "tokens per minute",
    "tokens_per_month": "tokens per month",
    "concurrency": "requests at one time",
}


@dataclass(frozen=True, slots=True)
class QuotaInfo:
    """One limit, of a tenant (`key_id` None) or of one of its keys."""

    tenant_id: str
    key_id: str | None
    model_pattern: str
    kind: Kind
    amount: int
    used: int | None = None
    """Of a monthly limit: tokens that the ledger has for this month. How rates stand is known to gateways alone."""
    capped_by: int | None = None
    """The amount of a wider limit of the same kind that is smaller, so that this one is never reached."""

    @property
    def percent(self) -> int | None:
        """How much of a monthly limit is used, rounded down."""
        return None if self.used is None else self.used * 100 // self.amount


async def set_quota(
    session: AsyncSession,
    actor: Actor,
    tenant: str,
    amounts: Mapping[Kind, int | None],
    *,
    key: str | None = None,
    model_pattern: str = "*",
    version: int | None = None,
) -> Sequence[QuotaInfo]:
    """Set the limits that `amounts` names; None takes one away; what is not named stays.

    All that match a request count, and the tightest decides. Replies with the owner's limits as they are now. Raises
    RequestError for amounts that can not be meant, such as one that a wider limit keeps from ever being reached.
    """
    model_pattern = checked_pattern(model_pattern)
    for kind, amount in amounts.items():
        check_amount(kind, amount)
    await begin_change(session)
    owner = await find_owner(session, tenant, key, version=version)
    tenant_id, key_id = owner.tenant_id, owner.key_id
    before = await _limits(session, tenant_id, key_id, model_pattern)
    for kind, amount in amounts.items():
        await _set_one(session, tenant_id, key_id, model_pattern, kind, amount)
    await session.flush()
    after = await _limits(session, tenant_id, key_id, model_pattern)
    own = [quota for quota in await list_quotas(session, tenant_id) if quota.key_id == key_id]
    if after != before:
        for quota in own:
            if quota.model_pattern == model_pattern and before.get(quota.kind) != quota.amount:
                _check_reach(quota)
        facts = {"model_pattern": model_pattern}
        count_change(owner.row)
        record(
            session,
            actor,
            "quota.set",
            owner.id,
            tenant_id=tenant_id,
            before=before | facts,
            after=after | facts,
        )
    await session.flush()
    return own


async def list_quotas(session: AsyncSession, tenant: str) -> Sequence[QuotaInfo]:
    """The tenant's limits, then those of its keys; monthly ones with what is used of them."""
    tenant_id = (await tenant_row(session, tenant)).id
    rows = await queries.quota_rules(session, tenant_id)
    quotas = [QuotaInfo(tenant_id, row.key_id, row.model_pattern, cast(Kind, row.kind), row.amount) for row in rows]
    used = await _used(session, tenant_id, [quota for quota in quotas if quota.kind == "tokens_per_month"])
    return [replace(quota, used=used.get(quota), capped_by=_capped_by(quota, quotas)) for quota in quotas]


async def _used(session: AsyncSession, tenant_id: str, budgets: Sequence[QuotaInfo]) -> Mapping[QuotaInfo, int]:
    if not budgets:
        return {}
    lineages = {key.id: key.lineage for key in await queries.keys(session, tenant_id)}
    names = await queries.aliases(session)
    limits = {
        quota: Limit(
            f"tenant:{tenant_id}" if quota.key_id is None else f"key:{lineages[quota.key_id]}",
            quota.kind,
            quota.amount,
            quota.model_pattern,
            tenant=tenant_id,
        )
        for quota in budgets
    }
    month = moment_of(time.time()).month
    used = await month_used(session, limits.values(), month, lambda model: (model, *names.get(model, ())))
    return {quota: used[limit] for quota, limit in limits.items()}


def _capped_by(quota: QuotaInfo, quotas: Sequence[QuotaInfo]) -> int | None:
    """The smallest amount among the limits that cover all that this one does, if it is below this one's."""
    wider = [
        other.amount
        for other in quotas
        if other.kind == quota.kind
        and other.key_id in {None, quota.key_id}
        and other.model_pattern in {"*", quota.model_pattern}
        and other.amount < quota.amount
    ]
    return min(wider, default=None)


def _check_reach(quota: QuotaInfo) -> None:
    if quota.capped_by is not None:
        whose = "the tenant" if quota.key_id is None else "the key or its tenant"
        raise RequestError(
            f"{quota.amount} {WORDS[quota.kind]} would never be reached: {whose} has a wider limit of "
            f"{quota.capped_by}. Set no more than that, or raise the wider limit first.",
            param=quota.kind,
        )


def check_amount(kind: Kind, amount: int | None) -> None:
    """Refuse an amount that can not be meant, without a look at other limits."""
    if amount is None:
        return
    if amount < 1:
        raise RequestError(
            f"{amount} {WORDS[kind]} would stop everything; to do so, suspend the tenant or revoke the key.", param=kind
        )
    if amount > LARGEST[kind]:
        raise RequestError(f"{amount} {WORDS[kind]} is more than {LARGEST[kind]}; for no limit, remove it.", param=kind)


async def _set_one(
    session: AsyncSession, tenant_id: str, key_id: str | None, model_pattern: str, kind: Kind, amount: int | None
) -> None:
    row = await queries.quota_rule(session, tenant_id, key_id, model_pattern, kind)
    if row is not None and amount is None:
        await session.delete(row)
    elif row is not None and amount is not None:
        row.amount = amount
    elif amount is not None:
        session.add(
            QuotaRule(tenant_id=tenant_id, key_id=key_id, model_pattern=model_pattern, kind=kind, amount=amount)
        )


async def _limits(session: AsyncSession, tenant_id: str, key_id: str | None, model_pattern: str) -> dict[str, object]:
    rows = await queries.quota_rules(session, tenant_id)
    return {row.kind: row.amount for row in rows if (row.key_id, row.model_pattern) == (key_id, model_pattern)}
