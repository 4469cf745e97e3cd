"""`/health/live`: this process runs. `/health/ready`: it knows the policies and has a node to send requests to."""

from typing import Any

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from gateway.api.answers import Answer
from gateway.api.crew import Crew
from gateway.auth import PUBLIC
from gateway.services.opened import Services
from gateway.services.quota.outage import GuardedQuotaStore

ENCODE = msgspec.json.Encoder().encode


def health_routes(services: Services, crew: Crew | None = None) -> list[HTTPRouteHandler]:
    """Both routes, open to everybody: an orchestrator has no API key. With a `crew` readiness is that of all."""

    @get("/health/live", opt={**PUBLIC, "endpoint": "/health/live"})
    async def live() -> Answer:
        return Answer(b'{"status":"live"}')

    @get("/health/ready", opt={**PUBLIC, "endpoint": "/health/ready"})
    async def ready() -> Answer:
        if crew is not None:
            status, body = await crew.readiness()
            return Answer(body, status=status)
        status, report = readiness(services)
        return Answer(ENCODE(report), status=status)

    return [live, ready]


def readiness(services: Services) -> tuple[int, dict[str, Any]]:
    """200 where a request could be served now, 503 otherwise; and why.

    A gateway without any node is ready: its pools may be at rest and wake on the first request.
    """
    pools = {name: {"nodes": len(pool), "healthy": pool.healthy} for name, pool in services.nodes.pools.items()}
    nodes = services.nodes.nodes
    policies_known = services.feed.current.revision >= 0
    is_ready = policies_known and (not nodes or any(node.healthy for node in nodes))
    report = {
        "status": "ready" if is_ready else "starting",
        "policies": policies_known,
        "quota": quota_state(services.shared_quota),
        "pools": pools,
    }
    return (200 if is_ready else 503), report


def quota_state(store: GuardedQuotaStore | None) -> str:
    """Who decides on quotas. An outage leaves the gateway ready: it says by its answers what its operator chose."""
    if store is None or store.up:
        return "up"
    return "away, requests are denied" if store.rule == "deny" else "away, requests are allowed"
