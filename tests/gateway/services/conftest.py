from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.db.session import Database
from gateway.services.audit import Actor, AuditEntry, list_events


@pytest.fixture
def write(database: Database, actor: Actor) -> Callable[..., Awaitable[Any]]:
    """Call a service that changes something, in a transaction of its own: `await write(create_tenant, "acme")`."""

    async def call(service: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
        async with database.transaction() as session:
            return await service(session, actor, *arguments, **options)

    return call


@pytest.fixture
def read(database: Database) -> Callable[..., Awaitable[Any]]:
    """Call a service that only looks: `await read(list_tenants)`."""

    async def call(service: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
        async with database.reading() as session:
            return await service(session, *arguments, **options)

    return call


@pytest.fixture
def events(read: Callable[..., Awaitable[Any]]) -> Callable[[], Awaitable[list[AuditEntry]]]:
    """The audit log, newest first."""

    async def call() -> list[AuditEntry]:
        return await read(list_events)

    return call
