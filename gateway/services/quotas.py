"""Quota rules: how much a tenant, or one of its keys, may use of the models that match. Kept by services/quota.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import QuotaRule
from gateway.errors import RequestError
from gateway.services.audit import Actor, begin_change, record
from gateway.services.names import checked_pattern
from gateway.services.owners import find_owner
from gateway.services.tenants import tenant_row
from gateway.services.versions import count_change

Kind = Literal["requests", "tokens"]

LARGEST: dict[Kind, int] = {"requests": 10_000_000, "tokens": 1_000_000_000_000}
"""Per minute; beyond these a limit is a slip of the hand: leave it out instead."""


@dataclass(frozen=True, slots=True)
class QuotaInfo:
    """One limit per minute, of a tenant (`key_id` None) or of one of its keys."""

    tenant_id: str
    key_id: str | None
    model_pattern: str
    kind: Kind
    amount: int


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
    """Set the limits per minute that `amounts` names; None takes one away; what is not named stays.

    All that match a request count, and the tightest decides. Replies with the owner's limits as they are now.
    """
    model_pattern = checked_pattern(model_pattern)
    for kind, amount in amounts.items():
        _check_amount(kind, amount)
    await begin_change(session)
    owner = await find_owner(session, tenant, key, version=version)
    tenant_id, key_id = owner.tenant_id, owner.key_id
    before = await _limits(session, tenant_id, key_id, model_pattern)
    for kind, amount in amounts.items():
        await _set_one(session, tenant_id, key_id, model_pattern, kind, amount)
    await session.flush()
    after = await _limits(session, tenant_id, key_id, model_pattern)
    if after != before:
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
    return [quota for quota in await list_quotas(session, tenant_id) if quota.key_id == key_id]


async def list_quotas(session: AsyncSession, tenant: str) -> Sequence[QuotaInfo]:
    """The tenant's limits, then those of its keys."""
    return [_info(row) for row in await queries.quota_rules(session, (await tenant_row(session, tenant)).id)]


def _check_amount(kind: Kind, amount: int | None) -> None:
    if amount is None:
        return
    if amount < 1:
        raise RequestError(
            f"{amount} {kind} per minute would stop everything; to do so, suspend the tenant or revoke the key.",
            param=kind,
        )
    if amount > LARGEST[kind]:
        raise RequestError(
            f"{amount} {kind} per minute is more than {LARGEST[kind]}; for no limit, remove it.", param=kind
        )


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


def _info(row: QuotaRule) -> QuotaInfo:
    kind: Kind = "tokens" if row.kind == "tokens" else "requests"
    return QuotaInfo(row.tenant_id, row.key_id, row.model_pattern, kind, row.amount)
