"""Pinned models, on every node of their pool at any time: also on those that came, or were started anew, later."""

import asyncio
from collections.abc import Iterable
from typing import Self

import structlog

from gateway.engine_client import EngineClient, model_ref
from gateway.errors import GatewayError
from gateway.services.periodic import Periodic
from gateway.services.pools.directory import NodeDirectory
from gateway.services.pools.node import Node
from gateway.services.snapshot.entries import ModelEntry
from gateway.services.snapshot.feed import SnapshotFeed

INTERVAL = 2.0
"""Seconds between two looks at what is missing where."""
LOAD_PATIENCE = 600.0
"""Seconds that a node may take for one model; it may have to fetch it first."""
FIRST_PAUSE = 15.0
"""Seconds before a node that could not do it is asked again; twice as long each further time."""
LONGEST_PAUSE = 600.0


class Pins:
    """Has nodes load what they miss, one model after the other on each node.

    Only what was missing at two looks in a row: somebody may be about to say that the model is pinned no more. A model
    that is loaded so stays pinned while the register, by requests for it, says that it is.
    """

    def __init__(self, nodes: NodeDirectory, feed: SnapshotFeed, *, interval: float = INTERVAL) -> None:
        self._nodes = nodes
        self._feed = feed
        self._missing: dict[Node, frozenset[str]] = {}
        self._at_work: dict[Node, asyncio.Task[None]] = {}
        self._pauses: dict[tuple[Node, str], tuple[float, float]] = {}
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger("shoal.pins")
        self._looking = Periodic(self.look, interval, "pins")

    @classmethod
    def open(cls, nodes: NodeDirectory, feed: SnapshotFeed) -> Self:
        """Begin to look."""
        return cls(nodes, feed)

    async def close(self) -> None:
        """Look no more; loads that nodes have begun go on there."""
        await self._looking.close()
        for task in self._at_work.values():
            task.cancel()
        await asyncio.gather(*self._at_work.values(), return_exceptions=True)

    async def look(self) -> None:
        """Look once."""
        pinned = _pinned(self._feed.current.models.values())
        before, self._missing = self._missing, {}
        self._at_work = {node: task for node, task in self._at_work.items() if not task.done()}
        for node in self._nodes.nodes if pinned else ():
            wanted = pinned.get(node.pool)
            if not wanted or not node.healthy or node.status is None or not isinstance(node.client, EngineClient):
                continue
            there = {model.id for model in node.status.models if model.pinned and model.tier in ("device", "loading")}
            missing = self._missing[node] = frozenset(wanted.keys() - there)
            due = sorted(model for model in missing & before.get(node, frozenset()) if self._is_due(node, model))
            if due and node not in self._at_work:
                models = [wanted[model] for model in due]
                self._at_work[node] = asyncio.create_task(self._load(node, node.client, models))
        self._pauses = {key: pause for key, pause in self._pauses.items() if key[0] in self._missing}

    async def _load(self, node: Node, client: EngineClient, models: list[ModelEntry]) -> None:
        for model in models:
            try:
                node.status = await client.load(node.url, model_ref(model), LOAD_PATIENCE)
            except GatewayError as error:
                self._pause(node, model.id, error.for_operators)
            else:
                self._pauses.pop((node, model.id), None)
                self._log.info("pinned model is there", node=node.name, model=model.id)

    def _is_due(self, node: Node, model: str) -> bool:
        return self._loop.time() >= self._pauses.get((node, model), (0.0, 0.0))[0]

    def _pause(self, node: Node, model: str, reason: str) -> None:
        _, last = self._pauses.get((node, model), (0.0, 0.0))
        pause = min(LONGEST_PAUSE, 2 * last) if last else FIRST_PAUSE
        self._pauses[node, model] = (self._loop.time() + pause, pause)
        self._log.warning("pinned model is not there", node=node.name, model=model, reason=reason, next_try=pause)


def _pinned(models: Iterable[ModelEntry]) -> dict[str, dict[str, ModelEntry]]:
    """Pinned models by pool and id."""
    pools: dict[str, dict[str, ModelEntry]] = {}
    for model in models:
        if model.pinned and model.facts.adapter is None:
            pools.setdefault(model.pool, {})[model.id] = model
    return pools
