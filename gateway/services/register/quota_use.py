"""How much of each limit is used now: of months the ledger knows, of all else the store in which they are counted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.services.register.owners import Owner, find_owner
from gateway.services.register.quotas import QuotaInfo, list_quotas
from policies.quota import Limit, Standings


class KnowsStandings(Protocol):
    """Where limits are counted: `Quota`."""

    async def peek(self, limits: Sequence[Limit]) -> Standings:
        """How these limits stand; of none while the store is away."""
        ...


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """The limits of a tenant or of one of its keys, as they are set."""

    owner: Owner
    limits: Sequence[QuotaInfo]

    @property
    def version(self) -> int:
        """Of the tenant or the key."""
        return self.owner.row.version


async def own_limits(session: AsyncSession, tenant: str, key: str | None = None) -> OwnLimits:
    """The limits of the tenant itself, or of this key of its. Raises NotFound."""
    owner = await find_owner(session, tenant, key)
    quotas = await list_quotas(session, owner.tenant_id)
    return OwnLimits(owner, [quota for quota in quotas if quota.key_id == owner.key_id])


async def with_use(quota: KnowsStandings, own: OwnLimits) -> Sequence[QuotaInfo]:
    """The same with what is used of them now; None where nobody knows, because the store is away."""
    limits = {
        info: Limit(own.owner.subject, info.kind, info.amount, info.model_pattern, tenant=own.owner.tenant_id)
        for info in own.limits
        if info.kind != "tokens_per_month"
    }
    standings = await quota.peek(list(limits.values())) if limits else ()
    used = {limit.state_key: limit.amount - standing.remaining for limit, standing in standings}
    return [replace(info, used=used.get(limits[info].state_key)) if info in limits else info for info in own.limits]
