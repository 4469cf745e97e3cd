"""Pools and nodes: engine nodes, and the upstream servers that stand in pools as nodes do."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from admin_ui.access import needs
from admin_ui.contexts.nodes import (
    HeldModel,
    NodePage,
    NodePart,
    NodesPage,
    NodesPart,
    PoolNode,
    PoolNodes,
    UpstreamFacts,
)
from admin_ui.fleet import node_key, node_line, node_name, node_url, resident_bytes, shades_of
from admin_ui.models import model_url
from admin_ui.navigation import PREFIX
from admin_ui.paging import address, page_of
from admin_ui.upstreams import upstream_url
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.pools.loads import load_of, next_step
from gateway.services.pools.node import Node
from gateway.services.snapshot.entries import PolicySnapshot

HERE = f"{PREFIX}/nodes"
TONES = {"device": "good", "loading": "warn", "host": "quiet", "failed": "bad"}
ORDER = ("failed", "loading", "device", "host")
Resident = Any
"""A model as a node's status names it."""


@get("/nodes", opt=needs("fleet.look"))
async def show_nodes(visit: Visiting) -> Answer:
    """Every pool, or the nodes of a search."""
    part, query = _nodes(visit), visit.query
    live = address(f"{HERE}/now", {name: query.get(name, "") for name in ("q", "after")})
    return visit.page(NodesPage(here=HERE, live=live, q=query.get("q", "").strip(), part=part))


@get("/nodes/now", opt=needs("fleet.look"))
async def refresh_nodes(visit: Visiting) -> Answer:
    """The same, for the page's script."""
    return visit.part(_nodes(visit))


@get("/nodes/at/{node:str}", opt=needs("fleet.look"))
async def show_node(visit: Visiting, node: FromPath[str]) -> Answer:
    """One node."""
    found = _find(visit, node)
    upstreams = visit.services.feed.current.upstreams.get(found.pool, ())
    entry = next((entry for entry in upstreams if found.name == f"{entry.base_url}#{entry.id}"), None)
    facts = (
        None
        if entry is None
        else UpstreamFacts(entry.id, upstream_url(entry.id), entry.kind, entry.base_url, entry.credential is not None)
    )
    page = NodePage(
        name=node_name(found),
        pool=found.pool,
        pool_url=address(HERE, {"q": found.pool}),
        live=f"{node_url(found)}/now",
        upstream=facts,
        part=_node(visit, found),
    )
    return visit.page(page)


@get("/nodes/at/{node:str}/now", opt=needs("fleet.look"))
async def refresh_node(visit: Visiting, node: FromPath[str]) -> Answer:
    """The same, for the page's script."""
    return visit.part(_node(visit, _find(visit, node)))


def tier_of(model: Resident) -> str:
    """Where it is: `device`, `loading`, `host` or `failed`."""
    return "failed" if model.state == "failed" else str(model.tier)


def _nodes(visit: Visit) -> NodesPart:
    services, query = visit.services, visit.query
    q, now = query.get("q", "").strip().lower(), asyncio.get_running_loop().time()
    everything = sorted(services.nodes.nodes, key=node_key)
    wanted = [node for node in everything if q in node.pool.lower() or q in node.name.lower()]
    rest = [node for node in wanted if node_key(node) > query.get("after", "")]
    shown, pager = page_of(rest, HERE, query, position=node_key)
    pools: dict[str, list[Node]] = {}
    if not q and not query.get("after"):
        pools = {name: [] for name in services.settings.nodes}  # those of services that are looked up may have none now
    for node in shown:
        pools.setdefault(node.pool, []).append(node)
    cards = [
        _pool(name, [node for node in everything if node.pool == name], here, now, services.feed.current)
        for name, here in sorted(pools.items())
    ]
    return NodesPart(tuple(cards), pager, len(shown), bool(q))


def _pool(name: str, nodes: Sequence[Node], here: Iterable[Node], now: float, policies: PolicySnapshot) -> PoolNodes:
    well = [node.status for node in nodes if node.healthy and node.status is not None]
    return PoolNodes(
        name=name,
        of_upstreams=name in policies.upstreams,
        healthy=sum(node.healthy for node in nodes),
        count=len(nodes),
        resident=sum(resident_bytes(node) for node in nodes if node.healthy),
        allocated=sum(status.memory_used for status in well),
        budget=sum(status.memory_budget for status in well),
        nodes=tuple(_line(node, now) for node in here),
    )


def _line(node: Node, now: float) -> PoolNode:
    models = node.status.models if node.status else ()
    return PoolNode(
        line=node_line(node, shades_of([node]), now, 0),
        age=None if node.status is None else max(now - node.heard, 0.0),
        models=sum(model.tier == "device" and model.state != "failed" for model in models),
        failed=sum(model.state == "failed" for model in models),
    )


def _find(visit: Visit, key: str) -> Node:
    for node in visit.services.nodes.nodes:
        if node_key(node) == key:
            return node
    raise NotFoundException


def _node(visit: Visit, node: Node) -> NodePart:
    now, status, policies = asyncio.get_running_loop().time(), node.status, visit.services.feed.current
    models = sorted(
        status.models if status else (), key=lambda model: (ORDER.index(tier_of(model)), -model.bytes, model.id)
    )
    return NodePart(
        line=node_line(node, shades_of([node]), now),
        age=None if status is None else max(now - node.heard, 0.0),
        of_upstreams=node.pool in policies.upstreams,
        version=status.version if status else "",
        draining=status is not None and not status.ready,
        bulk_waiting_tokens=status.bulk_waiting_tokens if status else 0,
        models=tuple(_held(model, node.pool, policies) for model in models),
    )


def _held(model: Resident, pool: str, policies: PolicySnapshot) -> HeldModel:
    known = policies.models.get(model.id) or next(
        (entry for entry in policies.models.values() if entry.pool == pool and entry.source == model.id), None
    )
    return HeldModel(
        id=model.id,
        adapter=model.adapter,
        url=None if known is None or known.pool != pool else model_url(known.id),
        tier=tier_of(model),
        tone=TONES[tier_of(model)],
        bytes=model.bytes,
        host_bytes=model.host_bytes,
        in_use=model.in_use,
        idle=model.idle_seconds,
        pinned=model.pinned,
        native=model.native,
        load=load_of(model),
        failure=model.failure,
        next=next_step(model.failure_code),
    )


ROUTES = (show_nodes, refresh_nodes, show_node, refresh_node)
