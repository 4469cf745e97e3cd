"""The SELECTs of the policy snapshot, as plain tuples: all tenants at once, or those that changed since a revision.

The one place that reads tenants' rows without a tenant; nothing that answers a caller may use it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.queries import policy_revision
from gateway.db.tables import ApiKey, AuditEvent, Model, ModelAlias, ModelGrant, QuotaRule, Tenant, TenantAlias

MOST_CHANGES = 500
"""Events that are followed one by one; beyond them it is quicker to read everything."""
PAGE = 250
"""Rows between two chances for requests to be served."""


KeyRow = Row[str, str, bytes, str, datetime | None, datetime | None, str, list[str] | None]
"""Id, name, SHA-256 of the secret, tenant id, expires at, revoked at, lineage, scopes."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What must be read again to be at a revision."""

    revision: int
    tenants: frozenset[str]
    """Ids of tenants that changed themselves, in their own rules or in their aliases."""
    keys: frozenset[tuple[str, str]]
    """Tenant and id of the keys that changed, or whose rules did."""
    models: frozenset[str]
    """Ids."""
    upstreams: bool = False
    """Whether any of them did."""


@dataclass(frozen=True, slots=True)
class TenantRows:
    """Tenants, keys and what belongs to them, of one moment."""

    tenants: Sequence[Row[str, str, datetime | None, str, float]]
    """Id, name, suspended at, lane, weight."""
    keys: Sequence[KeyRow]
    grants: Sequence[Row[str, str | None, str, bool]]
    """Tenant id, key id, pattern, deny."""
    rules: Sequence[Row[str, str | None, str, int, str]]
    """Tenant id, key id, kind, amount, model pattern."""
    aliases: Sequence[Row[str, str, str]]
    """Tenant id, alias, model id."""


@dataclass(frozen=True, slots=True)
class ModelRows:
    """Models and the names that everybody uses for them."""

    models: Sequence[Model]
    aliases: Sequence[Row[str, str]]
    """Alias, model id."""


async def policy_changes(session: AsyncSession, since: int) -> Changes | None:
    """What the audit log says was changed after the revision `since`; None where everything must be read.

    That is so where the log has a gap, speaks of something unknown, or of too much.
    """
    revision = await policy_revision(session)
    if since < 0 or not 0 <= revision - since <= MOST_CHANGES:
        return None
    chosen = (
        select(col(AuditEvent.revision), col(AuditEvent.action), col(AuditEvent.target), col(AuditEvent.tenant_id))
        .where(col(AuditEvent.revision) > since)
        .limit(MOST_CHANGES + 1)
    )
    events = (await session.execute(chosen)).all() if revision != since else ()
    if len(events) > MOST_CHANGES or {event.revision for event in events} != set(range(since + 1, revision + 1)):
        return None
    tenants, keys, models, upstreams = set(), set(), set(), False
    for _, action, target, tenant_id in events:
        noun = action.partition(".")[0]
        if noun in {"operator", "token"}:
            continue  # the hot path knows of none
        if noun == "model":
            models.add(target)
        elif noun == "upstream":
            upstreams = True
        elif tenant_id is not None and target == tenant_id:
            tenants.add(tenant_id)
        elif tenant_id is not None and noun in {"key", "grant", "quota"}:
            keys.add((tenant_id, target))
        else:
            return None
    return Changes(revision, frozenset(tenants), frozenset(keys), frozenset(models), upstreams)


async def tenant_rows(session: AsyncSession, changes: Changes | None = None) -> TenantRows:
    """The tenants and keys that changed, or all of them; of one moment, if the session is `Database.reading()`."""
    tenant: ColumnElement[bool] = true()
    key: ColumnElement[bool] = true()
    if changes is not None:
        tenant, key = col(Tenant.id).in_(changes.tenants), col(ApiKey.id).in_([key for _, key in changes.keys])
    tenants = select(col(Tenant.id), col(Tenant.name), col(Tenant.suspended_at), col(Tenant.lane), col(Tenant.weight))
    keys = select(
        col(ApiKey.id),
        col(ApiKey.name),
        col(ApiKey.secret_sha256),
        col(ApiKey.tenant_id),
        col(ApiKey.expires_at),
        col(ApiKey.revoked_at),
        col(ApiKey.lineage),
        col(ApiKey.scopes),
    )
    grants = select(col(ModelGrant.tenant_id), col(ModelGrant.key_id), col(ModelGrant.pattern), col(ModelGrant.deny))
    rules = select(
        col(QuotaRule.tenant_id),
        col(QuotaRule.key_id),
        col(QuotaRule.kind),
        col(QuotaRule.amount),
        col(QuotaRule.model_pattern),
    )
    aliases = select(col(TenantAlias.tenant_id), col(TenantAlias.alias), col(TenantAlias.model_id))
    if changes is not None:
        aliases = aliases.where(col(TenantAlias.tenant_id).in_(changes.tenants))
    ids = None if changes is None else changes.tenants
    return TenantRows(
        tenants=await _all(session, tenants.where(tenant), ids),
        keys=await _all(session, keys.where(key), None if changes is None else changes.keys),
        grants=await _all(session, grants.where(_of(ModelGrant, changes)).order_by(col(ModelGrant.id))),
        rules=await _all(session, rules.where(_of(QuotaRule, changes)).order_by(col(QuotaRule.id))),
        aliases=await _all(session, aliases, ids),
    )


async def model_rows(session: AsyncSession, changes: Changes | None = None) -> ModelRows:
    """The models that changed, or all of them."""
    model: ColumnElement[bool] = true()
    alias: ColumnElement[bool] = true()
    if changes is not None:
        model, alias = col(Model.id).in_(changes.models), col(ModelAlias.model_id).in_(changes.models)
    aliases = select(col(ModelAlias.alias), col(ModelAlias.model_id)).order_by(col(ModelAlias.alias))
    return ModelRows(
        models=(await session.scalars(select(Model).where(model).order_by(col(Model.id)))).all(),
        aliases=await _all(session, aliases.where(alias)),
    )


def _of(table: type[ModelGrant | QuotaRule], changes: Changes | None) -> ColumnElement[bool]:
    """The rules of the tenants and keys that changed, found by the index, which begins with the tenant."""
    if changes is None:
        return true()
    return col(table.tenant_id).in_(changes.tenants | {tenant for tenant, _ in changes.keys}) & or_(
        col(table.key_id).is_(None), col(table.key_id).in_([key for _, key in changes.keys])
    )


async def _all(
    session: AsyncSession, statement: Select[*tuple[Any, ...]], chosen: Collection[object] | None = None
) -> list[Any]:
    """Every row, a page at a time: fifty thousand at once would keep requests waiting. None where none is `chosen`."""
    rows: list[Any] = []
    if chosen is not None and not chosen:
        return rows
    async for page in (await session.stream(statement)).partitions(PAGE):
        rows += page
    return rows
