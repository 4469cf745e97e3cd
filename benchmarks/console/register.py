"""The policies of a large fleet as rows: tenants with keys, limits and allowlists, models, the audit log."""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import insert

from benchmarks.console.size import KINDS, Size, key_id, model_id, pool_of, tenant_id, tenant_name
from gateway.db import tables
from gateway.db.session import Database
from gateway.services.access.operators import create_operator
from gateway.services.register.audit import Actor
from gateway.services.register.keys import hash_secret
from gateway.services.register.model_facts import ModelFacts, to_row

OPERATOR, PASSWORD = "ada", "correct horse battery"
"""Who looks at it all: an admin."""
TENANT_ADMINS = 200
TOKEN = "tok000000000"  # noqa: S105 (its id)
"""Of one of these."""
UPSTREAM = "up0000000000"
"""Of a pool of others' servers, at whose addresses nothing listens."""
UPSTREAMS = 20
ALIAS = "embed"
"""Of each tenant, for a model of its own."""
LOOKED_AT = "operator-0003"
"""The one."""
BATCH = 1000
SECRET = hash_secret("x" * 43)
ACTIONS = ("tenant.update", "key.create", "grant.set", "quota.set", "key.rotate", "key.revoke")

Rows = Iterator[dict[str, Any]]


async def fill_register(database: Database, size: Size, now: datetime) -> None:
    """Write all of it into an empty database."""
    kinds: Sequence[tuple[Any, Rows]] = (
        (tables.Model, _models(size, now)),
        (tables.ModelAlias, _model_aliases(size)),
        (tables.Upstream, _upstreams(now)),
        (tables.Tenant, _tenants(size, now)),
        (tables.ApiKey, _keys(size, now)),
        (tables.ModelGrant, _grants(size)),
        (tables.QuotaRule, _limits(size)),
        (tables.TenantAlias, _tenant_aliases(size)),
        (tables.BudgetNotice, _notices(size, now)),
        (tables.Operator, _operators(size, now)),
        (tables.OperatorToken, _tokens(now)),
        (tables.AuditEvent, _events(size, now)),
    )
    for table, rows in kinds:
        async with database.transaction() as session:
            connection = await session.connection()
            while batch := list(islice(rows, BATCH)):
                await connection.execute(insert(table.__table__), batch)
    async with database.transaction() as session:
        await create_operator(session, Actor("benchmarks", "here"), OPERATOR, password=PASSWORD)


def _models(size: Size, now: datetime) -> Rows:
    for number in range(size.models):
        kind = KINDS[number % 4]
        facts = ModelFacts(
            architecture="XLMRobertaModel", family="xlm_roberta", native=True, tasks=(kind,), weight_bytes=1_112_000_000
        )
        yield {
            "id": model_id(number),
            "source": model_id(number),
            "pool": pool_of(number, size.models),
            "pinned": number % 50 == 0,
            "dimensions": 768 if kind == "embed" else None,
            "input_limit": 512,
            "facts": to_row(facts),
            "created_at": now - timedelta(days=number % size.days),
        }


def _model_aliases(size: Size) -> Rows:
    for number in range(size.models):
        for word in ("stable", "latest"):
            yield {"alias": f"{KINDS[number % 4]}-{number}-{word}", "model_id": model_id(number)}


def _upstreams(now: datetime) -> Rows:
    for number in range(UPSTREAMS):
        yield {
            "id": f"{UPSTREAM[:8]}{number:04d}",
            "pool": "others",
            "kind": "openai",
            "base_url": f"http://127.0.0.1:{1 + number}",
            "created_at": now,
            "updated_at": now,
        }


def _tenants(size: Size, now: datetime) -> Rows:
    for number, id_ in enumerate(size.tenant_ids):
        yield {
            "id": id_,
            "name": tenant_name(number),
            "suspended_at": now if number % 97 == 5 else None,
            "created_at": now - timedelta(days=size.days + number % 400),
        }


def _keys(size: Size, now: datetime) -> Rows:
    for tenant, id_ in enumerate(size.tenant_ids):
        for number in range(size.keys):
            yield {
                "id": key_id(tenant, number),
                "tenant_id": id_,
                "lineage": key_id(tenant, number),
                "name": f"service {number} of {tenant}",
                "secret_sha256": SECRET,
                "scopes": ["embeddings", "rerank"] if number else None,
                "created_at": now - timedelta(days=size.days),
                "expires_at": now + timedelta(days=tenant % 300 + 1) if number == 1 else None,
                "revoked_at": now if (tenant + number) % 40 == 0 else None,
                "last_used_at": now - timedelta(minutes=tenant % 10_000),
            }


def _grants(size: Size) -> Rows:
    for tenant, id_ in enumerate(size.tenant_ids):
        yield {"tenant_id": id_, "key_id": None, "pattern": "*", "deny": False}
        yield {"tenant_id": id_, "key_id": None, "pattern": f"org-{tenant % 40:02d}/*", "deny": True}
        yield {"tenant_id": id_, "key_id": key_id(tenant, 0), "pattern": "org-*", "deny": False}


def _limits(size: Size) -> Rows:
    for tenant, id_ in enumerate(size.tenant_ids):
        for kind, amount in (("requests", 6000), ("tokens", 10**6), ("tokens_per_month", 10**9), ("concurrency", 64)):
            yield {"tenant_id": id_, "key_id": None, "model_pattern": "*", "kind": kind, "amount": amount}
        yield {
            "tenant_id": id_, "key_id": key_id(tenant, 0), "model_pattern": "org-*", "kind": "requests", "amount": 600
        }  # fmt: skip


def _tenant_aliases(size: Size) -> Rows:
    for tenant, id_ in enumerate(size.tenant_ids):
        yield {"tenant_id": id_, "alias": ALIAS, "model_id": model_id(tenant * 4 % size.models)}


def _notices(size: Size, now: datetime) -> Rows:
    """In each month of the year a third of the tenants passes four fifths of a budget, a tenth all of it."""
    months = sorted({f"{now - timedelta(days=days):%Y-%m}" for days in range(size.days)})
    for tenant, id_ in enumerate(size.tenant_ids):
        for month in months:
            for percent, share in ((80, 3), (100, 10)):
                if tenant % share == 0:
                    yield {
                        "subject": f"tenant:{id_}", "model_pattern": "*", "month": month, "percent": percent,
                        "tenant_id": id_, "amount": 10**9, "time": now - timedelta(hours=tenant % 500),
                    }  # fmt: skip


def _operators(size: Size, now: datetime) -> Rows:
    for number in range(min(TENANT_ADMINS, size.tenants)):
        yield {
            "name": f"operator-{number:04d}",
            "password_hash": "!",
            "role": "tenant_admin",
            "tenant_id": tenant_id(number),
            "created_at": now,
        }


def _tokens(now: datetime) -> Rows:
    yield {"id": TOKEN, "operator": LOOKED_AT, "name": "deploys", "secret_sha256": SECRET, "created_at": now}


def _events(size: Size, now: datetime) -> Rows:
    chance = random.Random(7)
    for number in range(size.events):
        tenant = chance.randrange(size.tenants)
        id_, action = tenant_id(tenant), ACTIONS[number % len(ACTIONS)]
        yield {
            "time": now - timedelta(days=size.days) * (1 - number / size.events),
            "actor": f"operator-{chance.randrange(30):04d}",
            "origin": "192.0.2.7",
            "action": action,
            "target": key_id(tenant, 0) if action.startswith("key.") else id_,
            "tenant_id": id_,
            "revision": None,
            "before": {"name": tenant_name(tenant), "weight": 1.0},
            "after": {"name": f"{tenant_name(tenant)} & Co", "weight": 2.0},
        }
