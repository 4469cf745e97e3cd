"""What the hot path knows of policies: keys, tenants, grants, limits and models, immutable, in memory.

The database is read when its policy revision moves, never by a request. Every change bumps the revision in its own
transaction, so any process that wrote is followed by every gateway within `snapshot_interval`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self, cast

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.errors import DatabaseUnusable
from gateway.db.policy_rows import PolicyRows, policy_rows
from gateway.db.session import Database
from gateway.engine_client import Lane
from gateway.services.periodic import Periodic
from policies.allowlist import Grant
from policies.quota import Kind, Limit

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A registered model as requests see it."""

    id: str
    aliases: tuple[str, ...]
    source: str
    revision: str | None
    pool: str
    dtype: str | None
    max_tokens: int | None
    pinned: bool
    created: int
    """Unix seconds."""
    dimensions: int | None
    input_limit: int | None
    """Tokens that one input may have, as read from the source at registration; None where it was out of reach."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name a request or a pattern may use."""
        return (self.id, *self.aliases)


@dataclass(frozen=True, slots=True)
class TenantEntry:
    """A tenant's policies, shared by all of its keys."""

    id: str
    name: str
    suspended: bool
    grants: tuple[Grant, ...]
    limits: tuple[Limit, ...]
    lane: Lane = "interactive"
    """`bulk`: its requests may not choose another."""
    weight: float = 1.0
    """Its share of a node beside that of other tenants."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Names of its own for models, and the ids that they stand for; they win over names that everybody uses."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """An API key and what narrows it below its tenant."""

    id: str
    name: str
    secret_sha256: bytes
    tenant: TenantEntry
    expires_at: datetime | None
    revoked: bool
    grants: tuple[Grant, ...]
    """Empty: whatever the tenant may use."""
    limits: tuple[Limit, ...]
    lineage: str = ""
    """The first key of its line of rotations; its limits are those of the line."""
    scopes: frozenset[str] | None = None
    """What it may be used for; None: everything."""


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """All policies at one revision."""

    revision: int = 0
    keys: Mapping[str, KeyEntry] = field(default_factory=dict)
    """By key id."""
    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    """By id and by alias."""


class SnapshotFeed:
    """Keeps the snapshot current: looks at the database's policy revision, and reads everything when it has moved.

    While the database is away the last good snapshot stays in force: known keys keep working, and changes wait. That is
    logged when it begins and when it ends, and counted.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self.current = PolicySnapshot(revision=-1)
        """The snapshot in force. Take it once per request, so that one request sees one state."""
        self.failures = 0
        """Looks at the database that failed, ever."""
        self._database = database
        self._clock = clock
        self._looked = clock()
        self._away = False
        self._one_at_a_time = asyncio.Lock()
        self._following: Periodic | None = None

    @classmethod
    async def open(cls, database: Database, interval: float) -> Self:
        """Load the first snapshot, or raise; then look at the database every `interval` seconds."""
        feed = cls(database)
        await feed.refresh()
        feed._following = Periodic(feed._follow, interval, "policy snapshot")
        return feed

    @property
    def age(self) -> float:
        """Seconds since the snapshot was last known to be the database's state."""
        return self._clock() - self._looked

    async def refresh(self) -> PolicySnapshot:
        """Look at once; raises `DatabaseUnusable` and keeps the old snapshot where that fails."""
        async with self._one_at_a_time:
            looked = self._clock()
            try:
                async with self._database.reading() as session:
                    if await queries.policy_revision(session) != self.current.revision:
                        self.current = await load_snapshot(session)
            except Exception:
                self.failures += 1
                raise
            self._looked = looked
            return self.current

    async def close(self) -> None:
        """Stop following."""
        if self._following is not None:
            await self._following.close()

    async def _follow(self) -> None:
        try:
            await self.refresh()
        except DatabaseUnusable as error:
            self._say_away(error.message)
        except Exception as error:  # noqa: BLE001 (whatever it is, the feed must go on, and it is said)
            self._say_away(repr(error))
        else:
            self._say_back()

    def _say_away(self, why: str) -> None:
        if not self._away:
            log.warning("policies are not followed: the database is away", why=why, age=round(self.age, 1))
        self._away = True

    def _say_back(self) -> None:
        if self._away:
            log.info("policies are followed again", revision=self.current.revision)
        self._away = False


async def load_snapshot(session: AsyncSession) -> PolicySnapshot:
    """Read all policies of one moment; `session` is that of `Database.reading()`."""
    rows = await policy_rows(session)
    # Tens of thousands of keys take a while to put together; in a thread, requests are answered meanwhile.
    return await asyncio.to_thread(build_snapshot, rows)


def build_snapshot(rows: PolicyRows) -> PolicySnapshot:
    """Put the rows together; each tenant is one object, which all of its keys share."""
    grants: dict[tuple[str, str | None], list[Grant]] = {}
    for tenant_id, key_id, pattern, deny in rows.grants:
        grants.setdefault((tenant_id, key_id), []).append(Grant(pattern, deny))
    lineages = {key.id: key.lineage for key in rows.keys}
    limits: dict[tuple[str, str | None], list[Limit]] = {}
    for tenant_id, key_id, kind, amount, pattern in rows.rules:
        subject = f"tenant:{tenant_id}" if key_id is None else f"key:{lineages[key_id]}"
        limits.setdefault((tenant_id, key_id), []).append(
            Limit(subject, cast(Kind, kind), amount, pattern, tenant=tenant_id)
        )
    aliases: dict[str, dict[str, str]] = {}
    for tenant_id, alias, model_id in rows.tenant_aliases:
        aliases.setdefault(tenant_id, {})[alias] = model_id
    tenants = {
        row.id: TenantEntry(
            id=row.id,
            name=row.name,
            suspended=row.suspended_at is not None,
            grants=tuple(grants.get((row.id, None), ())),
            limits=tuple(limits.get((row.id, None), ())),
            lane="bulk" if row.lane == "bulk" else "interactive",
            weight=row.weight,
            aliases=aliases.get(row.id, {}),
        )
        for row in rows.tenants
    }
    keys = {
        row.id: KeyEntry(
            id=row.id,
            name=row.name,
            secret_sha256=row.secret_sha256,
            tenant=tenants[row.tenant_id],
            expires_at=row.expires_at,
            revoked=row.revoked_at is not None,
            grants=tuple(grants.get((row.tenant_id, row.id), ())),
            limits=tuple(limits.get((row.tenant_id, row.id), ())),
            lineage=row.lineage,
            scopes=None if row.scopes is None else frozenset(row.scopes),
        )
        for row in rows.keys
    }
    return PolicySnapshot(rows.revision, keys, _models(rows))


def _models(rows: PolicyRows) -> dict[str, ModelEntry]:
    aliases: dict[str, list[str]] = {}
    for alias, model_id in rows.aliases:
        aliases.setdefault(model_id, []).append(alias)
    entries = [
        ModelEntry(
            id=row.id,
            aliases=tuple(aliases.get(row.id, ())),
            source=row.source,
            revision=row.revision,
            pool=row.pool,
            dtype=row.dtype,
            max_tokens=row.max_tokens,
            pinned=row.pinned,
            created=int(row.created_at.timestamp()),
            dimensions=row.dimensions,
            input_limit=row.input_limit,
        )
        for row in rows.models
    ]
    return {name: entry for entry in entries for name in entry.names}
