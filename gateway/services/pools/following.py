"""Following one node: asked for its status all the time, more often while it is away."""

import asyncio
from collections.abc import Callable

import structlog

from engine.protocol import PROTOCOL_VERSION, NodeStatus, Tier
from gateway.errors import EngineFailed, GatewayError
from gateway.services.pools.node import Node

AWAY_INTERVAL = 0.2
"""Seconds between two looks at a node that is away."""
SILENT_LOOKS = 2
"""Looks in a row that were not answered in time, after which a node hangs: its requests are tried elsewhere."""

log = structlog.get_logger("shoal.nodes")


async def follow(node: Node, interval: float, patience: float, on_there: Callable[[], None]) -> None:
    """Look for ever, every `interval` seconds, for `patience` seconds each; `on_there` is called when it comes up."""
    while True:
        await _look_at(node, patience, on_there)
        node.look.clear()
        try:
            async with asyncio.timeout(interval if node.healthy else AWAY_INTERVAL):
                await node.look.wait()
        except TimeoutError:
            continue


async def _look_at(node: Node, patience: float, on_there: Callable[[], None]) -> None:
    try:
        status = await node.client.status(node.url, patience)
    except GatewayError as error:
        mark_away(node, error.reason if isinstance(error, EngineFailed) else error.message)
        node.unanswered = node.unanswered + 1 if error.code == "engine_timeout" else 0
        if node.unanswered >= SILENT_LOOKS:
            for call in node.calls:
                call.reschedule(asyncio.get_running_loop().time())
        return
    node.status, node.unanswered = status, 0
    node.resident = _models_in(status, "device", "loading")
    node.restorable = _models_in(status, "host")
    node.adapters = frozenset(
        (model.id, model.adapter)
        for model in status.models
        if model.adapter is not None and model.tier in ("device", "loading")
    )
    if status.protocol != PROTOCOL_VERSION:
        mark_away(node, f"speaks protocol {status.protocol}, this gateway {PROTOCOL_VERSION}")
    elif not status.ready:
        mark_away(node, "draining")
    elif not node.healthy:
        node.healthy, node.failure = True, None
        log.info("node is there", node=node.name, pool=node.pool)
        on_there()


def mark_away(node: Node, reason: str) -> None:
    """Send nothing to the node before it has been seen well again."""
    if node.healthy:
        log.warning("node is away", node=node.name, pool=node.pool, reason=reason)
    elif node.failure != reason:
        log.debug("node is not there", node=node.name, pool=node.pool, reason=reason)
    node.healthy, node.failure = False, reason
    node.look.set()


def _models_in(status: NodeStatus, *tiers: Tier) -> frozenset[str]:
    return frozenset(model.id for model in status.models if model.adapter is None and model.tier in tiers)
