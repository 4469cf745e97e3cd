"""Whose a rule is: a tenant's, or that of one of its API keys. A change of the rule is a change of its owner."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.tables import ApiKey, Tenant
from gateway.services.register.keys import key_row
from gateway.services.register.tenants import tenant_row
from gateway.services.register.versions import check_version


@dataclass(frozen=True, slots=True)
class Owner:
    """A tenant (`key_id` None), or one of its keys."""

    row: Tenant | ApiKey
    """What counts the changes, `count_change(owner.row)`."""
    tenant_id: str
    key_id: str | None

    @property
    def id(self) -> str:
        """The tenant's id or the key's."""
        return self.row.id

    @property
    def subject(self) -> str:
        """Whom its limits charge: all keys of one lineage are one."""
        return f"key:{self.row.lineage}" if isinstance(self.row, ApiKey) else f"tenant:{self.row.id}"


async def find_owner(session: AsyncSession, tenant: str, key: str | None, *, version: int | None = None) -> Owner:
    """The tenant or, where one is named, a key that is its own.

    Raises NotFound, or Conflict where `version` is not what the owner is at.
    """
    of = await tenant_row(session, tenant)
    row = of if key is None else await key_row(session, key, of.id)
    check_version(row, version)
    return Owner(row, of.id, None if key is None else row.id)
