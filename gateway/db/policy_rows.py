"""The SELECTs of the policy snapshot: of all tenants at once, as plain tuples, for a gateway that must know every key.

The one place that reads tenants' rows without a tenant; nothing that answers a caller may use it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.queries import policy_revision
from gateway.db.tables import ApiKey, Model, ModelAlias, ModelGrant, QuotaRule, Tenant, TenantAlias


@dataclass(frozen=True, slots=True)
class PolicyRows:
    """Everything that decides about requests, of one moment."""

    revision: int
    tenants: Sequence[Row[str, str, datetime | None, str, float]]
    """Id, name, suspended at, lane, weight."""
    keys: Sequence[Row[str, str, bytes, str, datetime | None, datetime | None, str, list[str] | None]]
    """Id, name, SHA-256 of the secret, tenant id, expires at, revoked at, lineage, scopes."""
    grants: Sequence[Row[str, str | None, str, bool]]
    """Tenant id, key id, pattern, deny."""
    rules: Sequence[Row[str, str | None, str, int, str]]
    """Tenant id, key id, kind, amount, model pattern."""
    models: Sequence[Model]
    aliases: Sequence[Row[str, str]]
    """Alias, model id."""
    tenant_aliases: Sequence[Row[str, str, str]]
    """Tenant id, alias, model id."""


async def policy_rows(session: AsyncSession) -> PolicyRows:
    """Read it all. The session must see one moment: `Database.reading()`."""
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
    return PolicyRows(
        revision=await policy_revision(session),
        tenants=(await session.execute(tenants)).all(),
        keys=(await session.execute(keys)).all(),
        grants=(await session.execute(grants.order_by(col(ModelGrant.id)))).all(),
        rules=(await session.execute(rules.order_by(col(QuotaRule.id)))).all(),
        models=(await session.scalars(select(Model).order_by(col(Model.id)))).all(),
        aliases=(
            await session.execute(
                select(col(ModelAlias.alias), col(ModelAlias.model_id)).order_by(col(ModelAlias.alias))
            )
        ).all(),
        tenant_aliases=(
            await session.execute(select(col(TenantAlias.tenant_id), col(TenantAlias.alias), col(TenantAlias.model_id)))
        ).all(),
    )
