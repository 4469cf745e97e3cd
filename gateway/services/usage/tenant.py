"""Whose usage is asked for: a tenant, or one that was deleted and is known by its id alone."""

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import usage_queries
from gateway.errors import NotFound
from gateway.services.register.tenants import find_tenant


async def tenant_with_usage(session: AsyncSession, name_or_id: str) -> str:
    """The tenant's id, else `NotFound`."""
    try:
        return (await find_tenant(session, name_or_id)).id
    except NotFound:
        if await usage_queries.has_usage(session, name_or_id):
            return name_or_id
        raise
