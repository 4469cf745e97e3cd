"""Who uses the demo's fleet: tenants with their keys, limits and lists of models, and the operators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from demo.catalogue import ON_CPUS, ON_GPUS
from gateway.db.session import Database
from gateway.db.tables import ApiKey, AuditEvent, Model, Operator, Tenant
from gateway.services.access.operator_tokens import create_token
from gateway.services.access.operators import create_operator
from gateway.services.register import aliases, grants, keys, models, quotas, tenants, upstreams
from gateway.services.register.audit import Actor
from gateway.services.register.sealing import Sealer
from gateway.services.usage.summary import summarize_usage
from policies.quota import Kind

PASSWORD = "herring swim in shoals"  # noqa: S105 (of a demo on this machine alone)
ADA, TERMINAL = Actor("ada", "192.0.2.7"), Actor("cli:deploy", "gateway-1")


@dataclass(frozen=True, slots=True)
class Customer:
    """One tenant."""

    name: str
    allow: Sequence[str]
    keys: Sequence[str]
    deny: Sequence[str] = ()
    limits: Mapping[Kind, int] = field(default_factory=dict)
    lane: str = "interactive"
    weight: float = 1.0
    ends_in_days: int | None = None
    """Of its first key."""
    suspended: bool = False


NORTHWIND = "Northwind Support"
RERANKS = 120
"""That it may ask for in a minute."""
CUSTOMERS = (
    Customer(
        NORTHWIND, ("BAAI/*", "urchade/gliner*", "cardiffnlp/*", "dslim/*"), ("production", "staging"),
        limits={"requests": 60_000, "tokens": 20_000_000, "tokens_per_month": 12_000_000_000, "concurrency": 200},
        weight=2.0,
    ),
    Customer(
        "Acme Search", ("*",), ("search-api", "reindex", "notebooks"), deny=("*/gliner*",),
        limits={"requests": 120_000, "tokens_per_month": 9_000_000_000},
    ),
    Customer("Harbour Legal", ("jinaai/*", "BAAI/bge-reranker*", "dslim/*"), ("contracts",), limits={"requests": 4000}),
    Customer("Kiln & Clay", ("sentence-transformers/*", "intfloat/*"), ("shop",), ends_in_days=6),
    Customer(
        "Lab Notebooks", ("intfloat/e5*", "BAAI/bge-small*", "sentence-transformers/*"), ("jupyter", "ci"),
        limits={"tokens_per_month": 150_000_000},
    ),
    Customer("Nightly Index", ("intfloat/*", "Qwen/*"), ("batch",), lane="bulk", weight=0.5),
    Customer("Zenith", ("BAAI/*",), ("pilot",)),
    Customer("Fjord Travel", ("*",), ("app",), suspended=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Registered:
    """What the fleet's register knows now, for those who make traffic and addresses."""

    tenants: Mapping[str, str] = field(default_factory=dict)
    """Ids by name."""
    keys: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Ids by tenant and name."""
    secrets: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)
    """The keys themselves."""
    token: str = "-"  # noqa: S105 (an id)
    """The id of an operator's token."""
    upstream: str = "-"
    """The node that it is."""


async def register_operators(database: Database) -> None:
    """Who may sign in."""
    async with database.transaction() as session:
        for name, role in (("ada", "admin"), ("vera", "viewer"), ("lena", "viewer")):
            await create_operator(session, TERMINAL, name, role=role, password=PASSWORD)


async def register_customers(database: Database, upstream_url: str, sealer: Sealer) -> Registered:
    """All others, and what they use."""
    async with database.transaction() as session:
        token = await create_token(session, ADA, "ada", name="terraform")
        soon = datetime.now(UTC) + timedelta(days=40)
        await create_token(session, ADA, "ada", name="dashboards", read_only=True, expires_at=soon)
        for pool, members in (("gpu", ON_GPUS), ("cpu", ON_CPUS)):
            for model in members:
                await models.add_model(session, ADA, model.to_register(pool))
        made = [await _customer(session, customer) for customer in CUSTOMERS]
        await create_operator(session, ADA, "noor", role="tenant_admin", tenant=NORTHWIND, password=PASSWORD)
        await aliases.set_alias(session, ADA, NORTHWIND, "search", "BAAI/bge-m3")
        new = upstreams.NewUpstream(pool="chat", kind="openai", base_url=upstream_url, key="sk-of-the-upstream")
        upstream = await upstreams.add_upstream(session, TERMINAL, new, sealer)
        chat = models.NewModel(id="qwen3-8b", source="Qwen/Qwen3-8B", pool="chat")
        await models.add_model(session, ADA, chat)
    ids: dict[str, str] = {}
    by_name: dict[tuple[str, str], keys.CreatedKey] = {}
    for customer, (tenant_id, created) in zip(CUSTOMERS, made, strict=True):
        ids[customer.name] = tenant_id
        by_name |= {(customer.name, key.name): key for key in created}
    async with database.transaction() as session:
        await _grow_old(session)
    return Registered(
        tenants=ids,
        keys={name: key.id for name, key in by_name.items()},
        secrets={name: key.key for name, key in by_name.items()},
        token=token.id,
        upstream=f"{upstream.base_url}#{upstream.id}",
    )


async def limit_nearly_spent(database: Database, registered: Registered) -> None:
    """A monthly limit of which most is used, whatever the day is."""
    now = datetime.now(UTC)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    async with database.transaction() as session:
        tenant = registered.tenants["Zenith"]
        used = await summarize_usage(session, tenant, start=month, end=now, by="model")
        amount = sum(row.tokens for row in used) * 27 // 25
        await quotas.set_quota(session, ADA, tenant, {"tokens_per_month": max(amount, 100_000)})


async def _customer(session: AsyncSession, customer: Customer) -> tuple[str, Sequence[keys.CreatedKey]]:
    made = await tenants.create_tenant(session, ADA, customer.name, lane=customer.lane, weight=customer.weight)
    wanted = dict.fromkeys(customer.allow, False) | dict.fromkeys(customer.deny, True)
    await grants.set_grants(session, ADA, made.id, wanted)
    created = []
    for place, name in enumerate(customer.keys):
        ends = None
        if customer.ends_in_days is not None and place == 0:
            ends = datetime.now(UTC) + timedelta(days=customer.ends_in_days)
        created.append(await keys.create_key(session, ADA, made.id, name=name, expires_at=ends))
    if customer.limits:
        await quotas.set_quota(session, TERMINAL, made.id, customer.limits)
    if "production" in customer.keys:
        await quotas.set_quota(session, ADA, made.id, {"requests": RERANKS}, model_pattern="*rerank*")
        await quotas.set_quota(session, ADA, made.id, {"requests": 30_000, "concurrency": 64}, key=created[0].id)
    if customer.suspended:
        await tenants.suspend_tenant(session, ADA, made.id)
    return made.id, created


async def _grow_old(session: AsyncSession) -> None:
    """Spread over months what was made in this moment: no service can set the past."""
    now = datetime.now(UTC)
    made: Sequence[tuple[Any, Any]] = (
        (Tenant, Tenant.id), (ApiKey, ApiKey.id), (Model, Model.id), (Operator, Operator.name),
    )  # fmt: skip
    for table, name in made:
        for place, row in enumerate((await session.scalars(select(name).order_by(name))).all()):
            at = now - timedelta(days=200 - place * 7, hours=place)
            await session.execute(update(table).where(name == row).values(created_at=at))
    last = (await session.scalars(select(func.max(col(AuditEvent.id))))).one() or 0
    for event in (await session.scalars(select(AuditEvent))).all():
        event.time = now - timedelta(minutes=11 + 137 * (last - (event.id or 0)))
