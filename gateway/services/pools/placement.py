"""What operators have done to one model on every node of its pool: loaded, unloaded, pinned, unpinned."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from gateway.engine_client import EngineClient, NodeStatus, RegisteredModel, model_ref
from gateway.errors import GatewayError, Unavailable
from gateway.services.pools.directory import NodeDirectory

Verb = Literal["load", "unload", "pin", "unpin"]
PATIENCE = 600.0
"""Seconds; a load may have to fetch the model first."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One node after it has done as it was asked."""

    node: str
    memory_used: int
    """Bytes that models take."""
    memory_budget: int


async def place(
    verb: Verb, model: RegisteredModel, pool: str, nodes: NodeDirectory, engines: EngineClient, *, if_any: bool = False
) -> list[Placement]:
    """Have every node of the pool do it, all at once.

    Raises Unavailable with the first node's reason for not doing it, once all have answered; or where the pool has no
    node, unless it was to be done `if_any` is there.
    """
    known = nodes.pools.get(pool)
    urls = [node.url for node in known] if known is not None else []
    if not urls and not if_any:
        raise Unavailable(f"The pool '{pool}' has no engine node here.", code="no_engine_node")
    answers = await asyncio.gather(*(_ask(verb, url, model, engines) for url in urls), return_exceptions=True)
    placed = []
    for url, answer in zip(urls, answers, strict=True):
        if isinstance(answer, BaseException):
            raise answer
        placed.append(Placement(url, answer.memory_used, answer.memory_budget))
    return placed


async def _ask(verb: Verb, url: str, model: RegisteredModel, engines: EngineClient) -> NodeStatus:
    call = {"load": engines.load, "unload": engines.unload, "pin": engines.pin, "unpin": engines.unpin}[verb]
    try:
        return await call(url, model_ref(model), PATIENCE)
    except GatewayError as error:
        reason = error.for_operators
        raise Unavailable(f"The engine node {url} says: {reason}", code=error.code or "engine_failed") from error
