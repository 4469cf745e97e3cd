"""Whom gateways serve while they are killed: tenants with every policy on, and limits that are never reached."""

from benchmarks.served import MODEL
from gateway.db import schema
from gateway.db.session import Database
from gateway.services.register.audit import Actor
from gateway.services.register.grants import add_grant
from gateway.services.register.keys import create_key
from gateway.services.register.models import NewModel, add_model
from gateway.services.register.quotas import set_quota
from gateway.services.register.tenants import create_tenant
from policies.quota import Kind

TENANTS = 2
PLENTY: dict[Kind, int | None] = {"requests": 10**7, "tokens": 10**9}
"""Limits that are checked like any other and never reached."""


async def prepare(database_url: str, source: str) -> list[str]:
    """The API keys of a few tenants on a fresh database, who may all use one model."""
    await schema.upgrade(database_url)
    database, actor = Database.open(database_url), Actor("benchmarks", "benchmarks")
    keys = []
    try:
        async with database.transaction() as session:
            await add_model(session, actor, NewModel(id=MODEL, source=source, input_limit=512))
            for number in range(TENANTS):
                tenant = (await create_tenant(session, actor, f"tenant-{number}")).id
                await add_grant(session, actor, tenant, "*")
                await set_quota(session, actor, tenant, PLENTY)
                keys.append((await create_key(session, actor, tenant)).key)
    finally:
        await database.close()
    return keys
