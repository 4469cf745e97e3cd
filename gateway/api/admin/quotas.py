"""Quotas: how much a tenant, or one of its keys, may use; and how much of that is used now."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.api.admin.lists import Listed, Piece, listed, shown_as
from gateway.api.admin.operation import Ask, operation
from gateway.api.admin.words import Pattern
from gateway.services.register import quotas
from gateway.services.register.quota_use import OwnLimits, own_limits, with_use
from gateway.services.register.quotas import LARGEST
from policies.quota import Kind


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


shown = shown_as(Quota)


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
        own = await own_limits(session, tenant, key)
    return await _shown(ask, own, query)


async def _set(ask: Ask, tenant: str, key: str | None, body: QuotaSetting) -> Listed[Quota]:
    amounts: dict[Kind, int | None] = {}
    for kind in LARGEST:
        if (amount := getattr(body, kind)) is not UNSET:
            amounts[kind] = amount
    async with ask.changing() as session:
        await quotas.set_quota(
            session, ask.actor, tenant, amounts, key=key, model_pattern=body.model_pattern, version=ask.seen
        )
        own = await own_limits(session, tenant, key)
    return await _shown(ask, own, Piece(limit=1000))


async def _shown(ask: Ask, own: OwnLimits, piece: Piece) -> Listed[Quota]:
    ask.version = own.version
    found = await with_use(ask.services.quota, own)
    return listed(found, piece, position=lambda quota: f"{quota.model_pattern} {quota.kind}", shown=shown)


OPERATIONS = (list_quotas, set_quotas, list_key_quotas, set_key_quotas)
