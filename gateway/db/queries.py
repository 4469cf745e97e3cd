"""Every SELECT but those of usage. What belongs to a tenant is asked for with the tenant in the signature."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import (
    ApiKey,
    AuditEvent,
    Model,
    ModelAlias,
    ModelGrant,
    Operator,
    OperatorToken,
    PolicyRevision,
    QuotaRule,
    Tenant,
    TenantAlias,
    Upstream,
)


async def policy_revision(session: AsyncSession) -> int:
    """How many changes of policies there have been."""
    return (await session.execute(select(col(PolicyRevision.revision)))).scalar_one()


async def locked_revision(session: AsyncSession) -> PolicyRevision:
    """The row of the policy revision, and the right to change policies until the transaction ends; waits for it."""
    return (await session.scalars(select(PolicyRevision).with_for_update())).one()  # SQLite has locked before


async def tenants(
    session: AsyncSession, *, after: str = "", limit: int | None = None, like: str = ""
) -> Sequence[Tenant]:
    """Tenants by name: all of them, or so many of those behind the name `after`; `like`: a part of it, or the id."""
    chosen = select(Tenant).where(col(Tenant.name) > after).order_by(col(Tenant.name)).limit(limit)
    if like:
        chosen = chosen.where(or_(col(Tenant.name).icontains(like, autoescape=True), col(Tenant.id) == like))
    return (await session.scalars(chosen)).all()


async def tenant(session: AsyncSession, name_or_id: str) -> Tenant | None:
    """One tenant; an id wins over another tenant's name that looks like it."""
    found = (
        await session.scalars(select(Tenant).where(or_(col(Tenant.id) == name_or_id, col(Tenant.name) == name_or_id)))
    ).all()
    return min(found, key=lambda row: row.id != name_or_id, default=None)


async def keys(session: AsyncSession, tenant_id: str) -> Sequence[ApiKey]:
    """A tenant's API keys, oldest first."""
    chosen = select(ApiKey).where(col(ApiKey.tenant_id) == tenant_id).order_by(col(ApiKey.created_at), col(ApiKey.id))
    return (await session.scalars(chosen)).all()


async def key(session: AsyncSession, tenant_id: str, key_id: str) -> ApiKey | None:
    """One API key of this tenant."""
    return (
        await session.scalars(select(ApiKey).where(col(ApiKey.tenant_id) == tenant_id, col(ApiKey.id) == key_id))
    ).one_or_none()


async def tenant_of_key(session: AsyncSession, key_id: str) -> str | None:
    """Whose key this is: for operators, who may name a key without its tenant."""
    return (await session.scalars(select(col(ApiKey.tenant_id)).where(col(ApiKey.id) == key_id))).one_or_none()


async def grants(session: AsyncSession, tenant_id: str) -> Sequence[ModelGrant]:
    """A tenant's grants and those of its keys: the tenant's first, then by pattern."""
    chosen = select(ModelGrant).where(col(ModelGrant.tenant_id) == tenant_id)
    return (await session.scalars(chosen.order_by(col(ModelGrant.key_id).nulls_first(), col(ModelGrant.pattern)))).all()


async def grant(session: AsyncSession, tenant_id: str, key_id: str | None, pattern: str) -> ModelGrant | None:
    """The one grant of this pattern to the tenant (`key_id` None) or to one of its keys."""
    chosen = select(ModelGrant).where(
        col(ModelGrant.tenant_id) == tenant_id,
        col(ModelGrant.key_id).is_not_distinct_from(key_id),
        col(ModelGrant.pattern) == pattern,
    )
    return (await session.scalars(chosen)).one_or_none()


async def quota_rules(session: AsyncSession, tenant_id: str) -> Sequence[QuotaRule]:
    """A tenant's limits and those of its keys: the tenant's first, then by model pattern and kind."""
    chosen = select(QuotaRule).where(col(QuotaRule.tenant_id) == tenant_id)
    order = (col(QuotaRule.key_id).nulls_first(), col(QuotaRule.model_pattern), col(QuotaRule.kind))
    return (await session.scalars(chosen.order_by(*order))).all()


async def quota_rule(
    session: AsyncSession, tenant_id: str, key_id: str | None, model_pattern: str, kind: str
) -> QuotaRule | None:
    """The one limit of this kind and pattern on the tenant (`key_id` None) or on one of its keys."""
    chosen = select(QuotaRule).where(
        col(QuotaRule.tenant_id) == tenant_id,
        col(QuotaRule.key_id).is_not_distinct_from(key_id),
        col(QuotaRule.model_pattern) == model_pattern,
        col(QuotaRule.kind) == kind,
    )
    return (await session.scalars(chosen)).one_or_none()


async def tenant_aliases(session: AsyncSession, tenant_id: str) -> Sequence[TenantAlias]:
    """What a tenant calls models, by its names for them."""
    chosen = select(TenantAlias).where(col(TenantAlias.tenant_id) == tenant_id)
    return (await session.scalars(chosen.order_by(col(TenantAlias.alias)))).all()


async def tenant_alias(session: AsyncSession, tenant_id: str, alias: str) -> TenantAlias | None:
    """What a tenant means by one of its own names."""
    return await session.get(TenantAlias, (tenant_id, alias))


async def tenants_with_alias_of(session: AsyncSession, model_id: str) -> Sequence[str]:
    """Ids of the tenants that have a name of their own for a model: for operators, who may remove it."""
    chosen = select(col(TenantAlias.tenant_id)).where(col(TenantAlias.model_id) == model_id).distinct()
    return (await session.scalars(chosen.order_by(col(TenantAlias.tenant_id)))).all()


async def tenant_names(session: AsyncSession, ids: Sequence[str]) -> Mapping[str, str]:
    """The names of tenants by their ids, for lists in which several stand."""
    chosen = select(col(Tenant.id), col(Tenant.name)).where(col(Tenant.id).in_(ids))
    return {row[0]: row[1] for row in await session.execute(chosen)}


async def models(
    session: AsyncSession, *, after: str = "", limit: int | None = None, base: str | None = None
) -> Sequence[Model]:
    """Registered models by id: all of them, or so many of those behind the id `after`; `base`: its adapters alone."""
    chosen = select(Model).where(col(Model.id) > after).order_by(col(Model.id)).limit(limit)
    if base is not None:
        chosen = chosen.where(col(Model.facts)["base"].as_string() == base)
    return (await session.scalars(chosen)).all()


async def model(session: AsyncSession, name: str) -> Model | None:
    """The model of this id or alias."""
    by_alias = select(col(ModelAlias.model_id)).where(col(ModelAlias.alias) == name).scalar_subquery()
    return (
        await session.scalars(select(Model).where(or_(col(Model.id) == name, col(Model.id) == by_alias)))
    ).one_or_none()


async def model_ids(session: AsyncSession, pool: str) -> Sequence[str]:
    """The models of a pool."""
    return (await session.scalars(select(col(Model.id)).where(col(Model.pool) == pool).order_by(col(Model.id)))).all()


async def aliases(session: AsyncSession, model_ids: Sequence[str] | None = None) -> Mapping[str, Sequence[str]]:
    """The aliases of each of these models, or of all, in their order; models without any are left out."""
    chosen = select(col(ModelAlias.model_id), col(ModelAlias.alias)).order_by(col(ModelAlias.alias))
    if model_ids is not None:
        chosen = chosen.where(col(ModelAlias.model_id).in_(model_ids))
    found: dict[str, list[str]] = {}
    for model_id, alias in await session.execute(chosen):
        found.setdefault(model_id, []).append(alias)
    return found


async def aliases_of(session: AsyncSession, model_id: str) -> Sequence[str]:
    """One model's aliases."""
    chosen = select(col(ModelAlias.alias)).where(col(ModelAlias.model_id) == model_id).order_by(col(ModelAlias.alias))
    return (await session.scalars(chosen)).all()


async def operators(session: AsyncSession) -> Sequence[Operator]:
    """Everybody who may sign in, by name."""
    return (await session.scalars(select(Operator).order_by(col(Operator.name)))).all()


async def operators_of(session: AsyncSession, tenant_id: str) -> Sequence[str]:
    """Names of the operators who see this tenant and nothing else."""
    chosen = select(col(Operator.name)).where(col(Operator.tenant_id) == tenant_id).order_by(col(Operator.name))
    return (await session.scalars(chosen)).all()


async def operator(session: AsyncSession, name: str) -> Operator | None:
    """One operator."""
    return await session.get(Operator, name)


async def operator_of_subject(session: AsyncSession, subject: str) -> Operator | None:
    """The operator who signs in elsewhere as this."""
    return (await session.scalars(select(Operator).where(col(Operator.subject) == subject))).one_or_none()


async def operator_tokens(session: AsyncSession, operator: str | None) -> Sequence[OperatorToken]:
    """The tokens of one operator, or of all; oldest first."""
    chosen = select(OperatorToken).order_by(col(OperatorToken.created_at), col(OperatorToken.id))
    return (
        await session.scalars(chosen if operator is None else chosen.where(col(OperatorToken.operator) == operator))
    ).all()


async def operator_token(session: AsyncSession, token_id: str) -> OperatorToken | None:
    """One token."""
    return await session.get(OperatorToken, token_id)


class EventFilter(NamedTuple):
    """Which events of the audit log; None: whatever there is."""

    actor: str | None = None
    about: str | None = None
    """The kind of thing that was changed: `key` is for `key.create` and the like."""
    target: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    """Before which it was."""


async def audit_events(
    session: AsyncSession, only: EventFilter, *, before: int | None, limit: int
) -> Sequence[AuditEvent]:
    """The latest events, newest first; `before` is the id at which the previous page ended."""
    return (await session.scalars(_latest(only, before, limit))).all()


async def audit_events_of(
    session: AsyncSession, tenant_id: str, only: EventFilter, *, before: int | None, limit: int
) -> Sequence[AuditEvent]:
    """The latest events of one tenant, newest first."""
    return (await session.scalars(_latest(only, before, limit).where(col(AuditEvent.tenant_id) == tenant_id))).all()


def _latest(only: EventFilter, before: int | None, limit: int) -> Select[AuditEvent]:
    event_id, time = col(AuditEvent.id), col(AuditEvent.time)
    chosen = select(AuditEvent).order_by(event_id.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(event_id < before)
    if only.actor is not None:
        chosen = chosen.where(col(AuditEvent.actor) == only.actor)
    if only.about is not None:
        kind = f"{only.about}."
        chosen = chosen.where(func.substr(col(AuditEvent.action), 1, len(kind)) == kind)
    if only.target is not None:
        chosen = chosen.where(col(AuditEvent.target) == only.target)
    if only.start is not None:
        chosen = chosen.where(time >= only.start)
    if only.end is not None:
        chosen = chosen.where(time < only.end)
    return chosen


async def upstreams(session: AsyncSession) -> Sequence[Upstream]:
    """Every upstream, by pool and age."""
    return (
        await session.scalars(select(Upstream).order_by(col(Upstream.pool), col(Upstream.created_at), col(Upstream.id)))
    ).all()


async def upstream(session: AsyncSession, upstream_id: str) -> Upstream | None:
    """One upstream."""
    return await session.get(Upstream, upstream_id)
