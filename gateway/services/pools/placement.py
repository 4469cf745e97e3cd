"""What operators have done to one model on every node of its pool: loaded, unloaded, pinned, unpinned."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.engine_client import EngineClient, NodeStatus, RegisteredModel, model_ref
from gateway.errors import Conflict, GatewayError, Unavailable
from gateway.services.pools.node import Node

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


class KnowsPools(Protocol):
    """Follows the nodes of every pool."""

    @property
    def pools(self) -> Mapping[str, Iterable[Node]]:
        """By name."""


async def place(
    verb: Verb, model: RegisteredModel, pool: str, nodes: KnowsPools, *, if_any: bool = False
) -> list[Placement]:
    """Have every healthy node of the pool do it, all at once. What is pinned comes to the others when they are there.

    Raises Unavailable with the first node's reason for not doing it, once all have answered, or where none is healthy,
    unless it was to be done `if_any` is there; Conflict where the pool is of upstream servers.
    """
    known = nodes.pools.get(pool)
    places: list[tuple[str, EngineClient]] = []
    for node in known or ():
        if not isinstance(node.client, EngineClient):
            raise Conflict(f"The pool '{pool}' is of upstream servers, which see to their models themselves.")
        if node.healthy:
            places.append((node.url, node.client))
    if not places and not if_any:
        raise Unavailable(f"The pool '{pool}' has no engine node here now.", code="no_engine_node", retry_after=2.0)
    answers = await asyncio.gather(*(_ask(verb, url, client, model) for url, client in places), return_exceptions=True)
    placed = []
    for (url, _), answer in zip(places, answers, strict=True):
        if isinstance(answer, BaseException):
            raise answer
        placed.append(Placement(url, answer.memory_used, answer.memory_budget))
    return placed


async def _ask(verb: Verb, url: str, client: EngineClient, model: RegisteredModel) -> NodeStatus:
    call = {"load": client.load, "unload": client.unload, "pin": client.pin, "unpin": client.unpin}[verb]
    try:
        return await call(url, model_ref(model), PATIENCE)
    except GatewayError as error:
        raise Unavailable(
            f"The engine node {url} says: {error.for_operators}", code=error.code or "engine_failed"
        ) from error
