"""Quotas: how much a tenant, or one of its keys, may use; and how much of that is used now."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.api.admin.lists import Listed, Piece, listed
from gateway.api.admin.operation import Ask, operation
from gateway.api.admin.words import Pattern
from gateway.services.register import quotas
from gateway.services.register.owners import Owner, find_owner
from gateway.services.register.quotas import LARGEST, QuotaInfo
from policies.quota import Kind, Limit


class QuotaSetting(msgspec.Struct, forbid_unknown_fields=True):
    """The limits of one pattern of models: what is left out stays, null takes a limit away."""

    model_pattern: Pattern = "*"
    """All models that it covers draw from the one limit."""
    requests: Annotated[int, Meta(ge=1, le=LARGEST["requests"])] | UnsetType | None = UNSET
    """Per minute."""
    tokens: Annotated[int, Meta(ge=1, le=LARGEST["tokens"])] | UnsetType | None = UNSET
    """Per minute."""
    tokens_per_month: Annotated[int, Meta(ge=1, le=LARGEST["tokens_per_month"])] | UnsetType | None = UNSET
    """Per calendar month, UTC."""
    concurrency: Annotated[int, Meta(ge=1, le=LARGEST["concurrency"])] | UnsetType | None = UNSET
    """Requests under way at once."""


class Quota(msgspec.Struct, frozen=True):
    """One limit. All that match a request count, and the tightest decides."""

    model_pattern: str
    kind: Kind
    amount: int
    used: int | None
    """Now: not yet drained of a rate, this month so far, or under way. Null while the quota store does not answer."""
    capped_by: int | None
    """A wider limit of the same kind that is smaller, so that this one is never reached."""
    key_id: str | None
    """The key that it limits; null: the tenant with all of its keys."""


@operation("GET", "/tenants/{tenant:str}/quotas", right="tenant.look", tagged=True)
async def list_quotas(ask: Ask, tenant: str, query: Piece) -> Listed[Quota]:
    """The tenant's own limits and what is used of them. The ETag is the tenant's."""
    return await _list(ask, tenant, None, query)


@operation("PUT", "/tenants/{tenant:str}/quotas", right="fleet.change", tagged=True, guarded=True)
async def set_quotas(ask: Ask, tenant: str, body: QuotaSetting) -> Listed[Quota]:
    """Limit a tenant. Replies with all of its limits. If-Match and ETag are the tenant's."""
    return await _set(ask, tenant, None, body)


@operation("GET", "/tenants/{tenant:str}/keys/{key:str}/quotas", right="tenant.look", tagged=True)
async def list_key_quotas(ask: Ask, tenant: str, key: str, query: Piece) -> Listed[Quota]:
    """The limits of one key and what is used of them. The ETag is the key's."""
    return await _list(ask, tenant, key, query)


@operation("PUT", "/tenants/{tenant:str}/keys/{key:str}/quotas", right="tenant.change", tagged=True, guarded=True)
async def set_key_quotas(ask: Ask, tenant: str, key: str, body: QuotaSetting) -> Listed[Quota]:
    """Limit one key, beside its tenant's limits. Replies with all of its limits. If-Match and ETag are the key's."""
    return await _set(ask, tenant, key, body)


async def _list(ask: Ask, tenant: str, key: str | None, query: Piece) -> Listed[Quota]:
    async with ask.looking() as session:
        owner = await find_owner(session, tenant, key)
        found = await quotas.list_quotas(session, owner.tenant_id)
    return await _shown(ask, owner, [quota for quota in found if quota.key_id == owner.key_id], query)


async def _set(ask: Ask, tenant: str, key: str | None, body: QuotaSetting) -> Listed[Quota]:
    amounts: dict[Kind, int | None] = {}
    for kind in LARGEST:
        if (amount := getattr(body, kind)) is not UNSET:
            amounts[kind] = amount
    async with ask.changing() as session:
        found = await quotas.set_quota(
            session, ask.actor, tenant, amounts, key=key, model_pattern=body.model_pattern, version=ask.seen
        )
        owner = await find_owner(session, tenant, key)
    return await _shown(ask, owner, list(found), Piece(limit=1000))


async def _shown(ask: Ask, owner: Owner, found: list[QuotaInfo], piece: Piece) -> Listed[Quota]:
    ask.version = owner.row.version
    limits = {
        quota: Limit(owner.subject, quota.kind, quota.amount, quota.model_pattern, tenant=owner.tenant_id)
        for quota in found
    }
    used = await _used(ask, [limit for limit in limits.values() if limit.kind != "tokens_per_month"])
    shown = [
        Quota(
            quota.model_pattern,
            quota.kind,
            quota.amount,
            quota.used if limit.kind == "tokens_per_month" else used.get(limit),
            quota.capped_by,
            quota.key_id,
        )
        for quota, limit in limits.items()
    ]
    return listed(shown, piece, position=lambda quota: f"{quota.model_pattern} {quota.kind}", shown=lambda quota: quota)


async def _used(ask: Ask, limits: list[Limit]) -> Mapping[Limit, int]:
    """What the quota store knows, which is nothing while it is away; the ledger knows of months."""
    standings = await ask.services.quota.peek(limits) if limits else ()
    return {limit: limit.amount - standing.remaining for limit, standing in standings}


OPERATIONS = (list_quotas, set_quotas, list_key_quotas, set_key_quotas)
