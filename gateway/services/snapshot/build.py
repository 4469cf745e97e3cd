"""The policy snapshot from the database's rows: whole, or the one before with what has changed since."""

import asyncio
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.policy_rows import Changes, KeyRow, ModelRows, TenantRows, model_rows, policy_changes, tenant_rows
from gateway.db.tables import Upstream
from gateway.services.register.model_facts import from_row
from gateway.services.register.upstreams import Kind
from gateway.services.snapshot.entries import KeyEntry, ModelEntry, PolicySnapshot, TenantEntry, UpstreamEntry
from policies.allowlist import Grant
from policies.quota import Kind as LimitKind
from policies.quota import Limit

NO_ALIASES: Mapping[str, str] = {}


MANY = 5000
"""Keys from which on a snapshot is worth keeping from the garbage collector."""

Owner = tuple[str, str | None]
"""Tenant id, and the key's id or None."""


@dataclass(frozen=True, slots=True)
class _Rules:
    grants: Mapping[Owner, Sequence[Grant]]
    limits: Mapping[Owner, Sequence[Limit]]
    aliases: Mapping[str, Mapping[str, str]]


async def load_snapshot(session: AsyncSession) -> PolicySnapshot:
    """Read all policies of one moment; `session` is that of `Database.reading()`."""
    with _garbage_uncollected():
        revision = await queries.policy_revision(session)
        tenants, models = await tenant_rows(session), await model_rows(session)
        # Tens of thousands of keys take a while to put together; in a thread, requests are answered meanwhile.
        snapshot = await asyncio.to_thread(build_snapshot, revision, tenants, models)
        snapshot = replace(snapshot, upstreams=_by_pool(await queries.upstreams(session)))
        if len(snapshot.keys) >= MANY:
            gc.freeze()
    return snapshot


async def follow_snapshot(session: AsyncSession, last: PolicySnapshot) -> PolicySnapshot:
    """The snapshot as it is now, from the one before: reads and rebuilds what the audit log says was changed.

    Reads everything where that can not be told.
    """
    changes = await policy_changes(session, last.revision)
    if changes is None:
        return await load_snapshot(session)
    if changes.revision == last.revision:
        return last
    snapshot = replace(last, revision=changes.revision)
    if changes.tenants or changes.keys:
        rows = await tenant_rows(session, changes)
        rules = _rules(rows)
        snapshot = _with_tenants(snapshot, changes, rows, rules) if changes.tenants else snapshot
        snapshot = _with_keys(snapshot, rows, rules) if changes.keys else snapshot
    if changes.models:
        snapshot = _with_models(snapshot, changes, await model_rows(session, changes))
    if changes.upstreams:
        snapshot = replace(snapshot, upstreams=_by_pool(await queries.upstreams(session)))
    return snapshot


@contextmanager
def _garbage_uncollected() -> Iterator[None]:
    """Keep the collector from what is being made: it would go through all of it several times.

    With fifty thousand keys each time kept requests waiting for a tenth of a second (measured). There are no cycles in
    a snapshot: it is given back without the collector, and one that is large is taken out of its rounds.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def build_snapshot(revision: int, rows: TenantRows, models: ModelRows) -> PolicySnapshot:
    """Put the rows together; each tenant is one object, which all of its keys share."""
    rules = _rules(rows)
    tenants = _tenants(rows, rules)
    keys = {row.id: _key(row, tenants[row.tenant_id], rules) for row in rows.keys}
    keys_of: dict[str, list[str]] = {}
    for key in keys.values():
        keys_of.setdefault(key.tenant.id, []).append(key.id)
    return PolicySnapshot(
        revision=revision,
        tenants=tenants,
        keys=keys,
        keys_of={tenant_id: tuple(sorted(ids)) for tenant_id, ids in keys_of.items()},
        models=_by_name(_models(models)),
    )


def _with_tenants(last: PolicySnapshot, changes: Changes, rows: TenantRows, rules: _Rules) -> PolicySnapshot:
    read = _tenants(rows, rules)
    tenants, keys, keys_of = dict(last.tenants), dict(last.keys), dict(last.keys_of)
    for tenant_id in changes.tenants:
        if tenant_id in read:
            tenants[tenant_id] = read[tenant_id]
            for key_id in keys_of.get(tenant_id, ()):
                keys[key_id] = replace(keys[key_id], tenant=read[tenant_id])
        else:
            tenants.pop(tenant_id, None)
            for key_id in keys_of.pop(tenant_id, ()):
                del keys[key_id]
    return replace(last, tenants=tenants, keys=keys, keys_of=keys_of)


def _with_keys(last: PolicySnapshot, rows: TenantRows, rules: _Rules) -> PolicySnapshot:
    keys = {**last.keys, **{row.id: _key(row, last.tenants[row.tenant_id], rules) for row in rows.keys}}
    new = [row for row in rows.keys if row.id not in last.keys]
    if not new:
        return replace(last, keys=keys)
    keys_of = dict(last.keys_of)
    for row in new:
        keys_of[row.tenant_id] = tuple(sorted({*keys_of.get(row.tenant_id, ()), row.id}))
    return replace(last, keys=keys, keys_of=keys_of)


def _with_models(last: PolicySnapshot, changes: Changes, rows: ModelRows) -> PolicySnapshot:
    stay = [model for name, model in last.models.items() if name == model.id and name not in changes.models]
    return replace(last, models=_by_name([*stay, *_models(rows)]))


def _rules(rows: TenantRows) -> _Rules:
    lineages = {key.id: key.lineage for key in rows.keys}
    known: dict[tuple[str, bool], Grant] = {}
    grants: dict[Owner, list[Grant]] = {}
    for tenant_id, key_id, pattern, deny in rows.grants:
        grant = known.setdefault((pattern, deny), Grant(pattern, deny))  # most tenants have the same few
        grants.setdefault((tenant_id, key_id), []).append(grant)
    limits: dict[Owner, list[Limit]] = {}
    for tenant_id, key_id, kind, amount, pattern in rows.rules:
        subject = f"tenant:{tenant_id}" if key_id is None else f"key:{lineages[key_id]}"
        limit = Limit(subject, cast(LimitKind, kind), amount, pattern, tenant=tenant_id)
        limits.setdefault((tenant_id, key_id), []).append(limit)
    aliases: dict[str, dict[str, str]] = {}
    for tenant_id, alias, model_id in rows.aliases:
        aliases.setdefault(tenant_id, {})[alias] = model_id
    return _Rules(grants, limits, aliases)


def _tenants(rows: TenantRows, rules: _Rules) -> dict[str, TenantEntry]:
    return {
        row.id: TenantEntry(
            id=row.id,
            name=row.name,
            suspended=row.suspended_at is not None,
            grants=tuple(rules.grants.get((row.id, None), ())),
            limits=tuple(rules.limits.get((row.id, None), ())),
            lane="bulk" if row.lane == "bulk" else "interactive",
            weight=row.weight,
            aliases=rules.aliases.get(row.id, NO_ALIASES),
        )
        for row in rows.tenants
    }


def _key(row: KeyRow, tenant: TenantEntry, rules: _Rules) -> KeyEntry:
    return KeyEntry(
        id=row.id,
        name=row.name,
        secret_sha256=row.secret_sha256,
        tenant=tenant,
        expires_at=row.expires_at,
        revoked=row.revoked_at is not None,
        grants=tuple(rules.grants.get((tenant.id, row.id), ())),
        limits=tuple(rules.limits.get((tenant.id, row.id), ())),
        lineage=row.lineage,
        scopes=None if row.scopes is None else frozenset(row.scopes),
    )


def _models(rows: ModelRows) -> list[ModelEntry]:
    aliases: dict[str, list[str]] = {}
    for alias, model_id in rows.aliases:
        aliases.setdefault(model_id, []).append(alias)
    return [
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
            facts=from_row(row.facts),
        )
        for row in rows.models
    ]


def _by_name(models: Iterable[ModelEntry]) -> dict[str, ModelEntry]:
    """In one order on every gateway, whatever it has followed to get there."""
    return {name: model for model in sorted(models, key=lambda model: model.id) for name in model.names}


def _by_pool(rows: Iterable[Upstream]) -> dict[str, tuple[UpstreamEntry, ...]]:
    pools: dict[str, tuple[UpstreamEntry, ...]] = {}
    for row in rows:
        kind: Kind = "tei" if row.kind == "tei" else "openai"
        entry = UpstreamEntry(row.id, row.pool, kind, row.base_url, row.credential)
        pools[row.pool] = (*pools.get(row.pool, ()), entry)
    return pools
