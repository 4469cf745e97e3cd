"""The first page: what needs attention, the last hour, and every pool with what fills the memory of its nodes."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from litestar import get
from litestar.response import Redirect

from admin_ui import concerns
from admin_ui.access import needs
from admin_ui.charts import Series, column_chart, line_chart
from admin_ui.contexts.overview import AttentionPart, Concern, FirstStep, OverviewPage, PoolsPart, TrafficPart
from admin_ui.fleet import pools_part
from admin_ui.navigation import PREFIX
from admin_ui.visit import Answer, Visit, Visiting
from admin_ui.wording import compact_text, millis_text
from gateway.services.snapshot.entries import PolicySnapshot
from gateway.services.usage.limits_reached import anything_used, budgets_passed, most_refused
from gateway.services.usage.minutes import Minute, last_minutes

MOST_CONCERNS = 6
RECENT = 5
"""Minutes over which the rate is taken."""


@get("/", opt=needs("own.look"))
async def overview(visit: Visiting) -> Answer:
    """Everything at a glance; for an operator of one tenant that tenant's page."""
    if visit.operator.tenant_id is not None:
        return Redirect(f"{PREFIX}/tenants/{visit.operator.tenant_id}", status_code=303)
    policies, now = visit.services.feed.current, datetime.now(UTC)
    async with visit.reading() as session:
        used = await anything_used(session)
    page = OverviewPage(
        steps=first_steps(policies, healthy=any(node.healthy for node in visit.services.nodes.nodes), used=used),
        models=len({entry.id for entry in policies.models.values()}),
        tenants=len(policies.tenants),
        suspended=sum(tenant.suspended for tenant in policies.tenants.values()),
        keys=sum(
            not key.revoked and (key.expires_at is None or key.expires_at > now) for key in policies.keys.values()
        ),
        attention=await _attention(visit),
        traffic=await _traffic(visit),
        pools=_pools(visit),
    )
    return visit.page(page)


@get("/overview/attention", opt=needs("fleet.look"))
async def show_attention(visit: Visiting) -> Answer:
    """What needs attention."""
    return visit.part(await _attention(visit))


@get("/overview/traffic", opt=needs("fleet.look"))
async def show_traffic(visit: Visiting) -> Answer:
    """The last hour."""
    return visit.part(await _traffic(visit))


@get("/overview/pools", opt=needs("fleet.look"))
async def show_pools(visit: Visiting) -> Answer:
    """Pools and nodes."""
    return visit.part(_pools(visit))


def _pools(visit: Visit) -> PoolsPart:
    return pools_part(visit.services.nodes.nodes, asyncio.get_running_loop().time())


async def _traffic(visit: Visit) -> TrafficPart:
    async with visit.reading() as session:
        return traffic_part(await last_minutes(session, datetime.now(UTC)))


async def _attention(visit: Visit) -> AttentionPart:
    services, now = visit.services, datetime.now(UTC)
    async with visit.reading() as session:
        budgets = await budgets_passed(session, now)
        refused = await most_refused(session, now)
    found = [
        *concerns.of_gateway(services.standing.report().reasons, services.usage.waiting, services.usage.oldest_seconds),
        *concerns.of_nodes(services.nodes.nodes),
        *concerns.of_tenants(budgets, refused, services.feed.current),
        *concerns.of_keys(services.feed.current.keys, now),
    ]
    return attention_part(found)


def attention_part(found: Sequence[Concern]) -> AttentionPart:
    """The worst first, and no more than can be looked at."""
    worst = sorted(found, key=lambda concern: concern.tone != "bad")
    return AttentionPart(tuple(worst[:MOST_CONCERNS]), max(len(worst) - MOST_CONCERNS, 0))


def traffic_part(minutes: Sequence[Minute]) -> TrafficPart:
    """The minutes, oldest first; the last one has just begun."""
    labels = [f"{minute.start:%H:%M}" for minute in minutes]
    recent = minutes[-RECENT - 1 : -1]
    latest = next((minute for minute in reversed(minutes) if minute.median is not None), None)
    served = Series("served", "a", [minute.requests - minute.failed for minute in minutes])
    failed = Series("failed", "bad", [minute.failed for minute in minutes])
    refused = Series("refused", "b", [minute.refused for minute in minutes])
    median = Series("median", "a", [_seconds(minute.median) for minute in minutes])
    slow = Series("95th percentile", "b", [_seconds(minute.slow) for minute in minutes])
    return TrafficPart(
        requests=sum(minute.requests for minute in minutes),
        tokens=sum(minute.tokens for minute in minutes),
        failed=sum(minute.failed for minute in minutes),
        refused=sum(minute.refused for minute in minutes),
        rate=sum(minute.requests for minute in recent) / (60 * max(len(recent), 1)),
        median=_seconds(latest.median) if latest else None,
        slow=_seconds(latest.slow) if latest else None,
        upstream=latest.upstream if latest else None,
        traffic=column_chart("Requests per minute", labels, [served, failed, refused], compact_text),
        latency=line_chart("Latency", labels, [median, slow], millis_text),
    )


def first_steps(policies: PolicySnapshot, *, healthy: bool, used: bool) -> Sequence[FirstStep]:
    """From nothing to the first answer; empty once that was given."""
    steps = (
        FirstStep(
            "Start an engine node",
            healthy,
            "One runs beside shoal serve. On another machine, whose address the gateway is then told:",
            None,
            "shoal engine --host 0.0.0.0",
        ),
        FirstStep(
            "Register a model",
            bool(policies.models),
            "By its name on the hub, or a folder. What it is and needs is looked at first.",
            f"{PREFIX}/models/new",
        ),
        FirstStep(
            "Create a tenant and its key",
            bool(policies.keys),
            "A tenant is whoever shall use models: an application, a team, a customer.",
            f"{PREFIX}/tenants",
        ),
        FirstStep(
            "Send the first request",
            used,
            "Try a model here before a program does.",
            f"{PREFIX}/playground",
        ),
    )
    return () if all(step.done for step in steps) else steps


def _seconds(millis: float | None) -> float | None:
    return None if millis is None else millis / 1000


ROUTES = (overview, show_attention, show_traffic, show_pools)
