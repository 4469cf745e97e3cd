"""`GET /metrics`: with the metrics key where one is set, else for direct callers on this machine only."""

import asyncio
import hmac
import re
from collections import Counter
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.api.answers import Answer
from gateway.api.crew import Crew
from gateway.auth import PUBLIC, credential
from gateway.call import call_of
from gateway.errors import AuthenticationFailed, RouteNotFound
from gateway.observability import NODE_STATES, Backlog, PoolState
from gateway.services.opened import Services
from gateway.services.pools.pool import Pool

FORWARDED = frozenset(
    {b"forwarded", b"x-real-ip", b"via", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip", b"x-original-host"}
)
"""A request with one of these, or any `x-forwarded-…`, came through a proxy: its peer says nothing of its origin."""
OWN_NAME = re.compile(rb"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?", re.IGNORECASE)
"""What this machine calls itself: another Host is a proxy's, or a page's whose name was made to point here."""


def metrics_route(services: Services, crew: Crew | None = None) -> HTTPRouteHandler:
    """The route; it has a credential of its own, so API keys do not open it. With a `crew` the page is about all."""

    @get("/metrics", opt={**PUBLIC, "endpoint": "/metrics"})
    async def show_metrics(request: Request[Any, Any, Any]) -> Answer:
        headers = call_of(request.scope).headers
        allow(services.settings.metrics_key, headers, request.scope.get("client"))
        if crew is not None:
            page = await crew.metrics_page()
        else:
            observe_background(services)
            page = await asyncio.to_thread(services.metrics.render)
        return Answer(page, media_type=CONTENT_TYPE_LATEST.encode())

    return show_metrics


def allow(metrics_key: str | None, headers: Mapping[bytes, bytes], client: tuple[str, int] | None) -> None:
    """Return if the caller may see the metrics, raise otherwise."""
    if metrics_key:
        if not hmac.compare_digest((credential(headers) or "").encode("latin-1"), metrics_key.encode()):
            raise AuthenticationFailed("The metrics key is missing or wrong.", code="invalid_metrics_key")
    elif not (is_local(client) and is_direct(headers)):
        raise RouteNotFound("GET", "/metrics")


def is_local(client: tuple[str, int] | None) -> bool:
    """Whether the peer is this machine."""
    try:
        return client is not None and ip_address(client[0]).is_loopback
    except ValueError:
        return False


def is_direct(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the request came through no proxy that says so, to a name that only this machine has."""
    if not FORWARDED.isdisjoint(headers) or any(name.startswith(b"x-forwarded-") for name in headers):
        return False
    return OWN_NAME.fullmatch(headers.get(b"host", b"localhost").strip()) is not None


def observe_background(services: Services) -> None:
    """Bring the gauges up to date that nobody touches while serving."""
    services.metrics.set_pools({name: pool_state(pool) for name, pool in services.nodes.pools.items()})
    services.metrics.set_backlog(
        Backlog(
            usage_waiting=services.usage.waiting,
            spool_bytes=services.usage.spool_bytes,
            spool_limit=services.settings.usage_spool_limit,
            spool_oldest=services.usage.oldest_seconds,
            policy_age=services.feed.age,
            usage_failures=services.usage.failures,
            policy_failures=services.feed.failures,
            spans_exported=services.tracer.spans["exported"],
            spans_dropped=services.tracer.spans["dropped"],
        )
    )
    services.metrics.set_ready(ready=services.standing.report().ready)


def pool_state(pool: Pool) -> PoolState:
    """What the metrics say of a pool."""
    states: Counter[str] = Counter(node.state for node in pool)
    heard = min((node.heard for node in pool if node.healthy), default=None)
    age = 0.0 if heard is None else asyncio.get_running_loop().time() - heard
    return PoolState(pool.waiting, pool.in_flight, tuple(states[state] for state in NODE_STATES), age)
