"""Following nodes: each is asked for its status again and again, more often while it is away; never all at once."""

import asyncio
import random

import structlog

from gateway.engine_client import NodeStatus, why_apart
from gateway.errors import GatewayError, UpstreamRefuses
from gateway.services.pools.node import Node
from gateway.services.pools.pool import Pool

AWAY_INTERVAL = 0.2
"""Seconds between two looks at a node that is away."""
SHORTEST_INTERVAL = 0.02
"""Seconds between two looks, whoever asks for one."""
SILENT_LOOKS = 2
"""Looks in a row that were not answered in time, after which a node hangs: its requests are tried elsewhere."""
LOOKS_PER_SECOND = 200
"""At most, over all nodes: a look costs about 0.2 ms."""
LOOKS_AT_ONCE = 256
"""At most, over all nodes; the others wait for their turn."""


class Following:
    """Looks at every node that it is told to, each by a task of its own: two looks at one node never overlap.

    `quiet` where somebody else in this process says already which nodes come and go.
    """

    def __init__(self, *, interval: float, patience: float, quiet: bool = False) -> None:
        self._interval = interval
        self._patience = patience
        self._tasks: dict[Node, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._draw = random.Random().uniform  # noqa: S311 (jitter)
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger("shoal.nodes")
        self._say = self._log.debug if quiet else self._log.info
        self._warn = self._log.debug if quiet else self._log.warning

    def begin(self, node: Node, pool: Pool) -> None:
        """Follow a node from now on."""
        if node not in self._tasks:
            self._tasks[node] = asyncio.create_task(self._follow(node, pool))

    def end(self, node: Node) -> None:
        """Follow it no more."""
        task = self._tasks.pop(node, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Follow none any more."""
        tasks = list(self._tasks.values())
        for node in tuple(self._tasks):
            self.end(node)
        await asyncio.gather(*tasks, return_exceptions=True)

    def broke_off(self, node: Node, pool: Pool, reason: str) -> None:
        """A call broke off there, and the node did not say before that it would: see how it is."""
        was_well = node.health.well
        node.health.broke_off(self._loop.time())
        self._judge(node, pool, was_well, reason)
        node.look.set()

    def leaves(self, node: Node, pool: Pool) -> None:
        """The node says that it takes nothing more."""
        was_well = node.health.well
        node.health.left()
        self._judge(node, pool, was_well, "draining")

    async def _follow(self, node: Node, pool: Pool) -> None:
        await asyncio.sleep(self._draw(0, min(1.0, len(self._tasks) / LOOKS_PER_SECOND)))
        while True:
            node.look.clear()
            async with self._turns:
                await self._look_at(node, pool)
            await asyncio.sleep(SHORTEST_INTERVAL)
            often = self._interval if node.health.well else min(AWAY_INTERVAL, self._interval)
            pause = max(often, len(self._tasks) / LOOKS_PER_SECOND)
            try:
                async with asyncio.timeout(self._draw(0.8 * pause, 1.2 * pause)):
                    await node.look.wait()
            except TimeoutError:
                continue

    async def _look_at(self, node: Node, pool: Pool) -> None:
        was_well = node.health.well
        try:
            status = await node.client.status(node.url, self._patience)
        except GatewayError as error:
            node.health.bad_look(self._loop.time())
            node.refuses = isinstance(error, UpstreamRefuses)
            node.unanswered = node.unanswered + 1 if error.code == "engine_timeout" else 0
            if node.unanswered >= SILENT_LOOKS:
                for call in node.calls:
                    call.reschedule(self._loop.time())
            self._judge(node, pool, was_well, error.for_operators)
            return
        reason = self._take_in(node, pool, status)
        pool.learn(node)
        self._judge(node, pool, was_well, reason)

    def _take_in(self, node: Node, pool: Pool, status: NodeStatus) -> str:
        """What the status means for the node's health, and the words for it where that is nothing good."""
        before, node.status, node.unanswered, node.refuses = node.status, status, 0, False
        now = node.heard = self._loop.time()
        if before is not None and before.instance != status.instance:
            node.breaker.reset(now)
        twin = pool.twin(node)
        if (apart := why_apart(status)) is not None:
            node.health.left()
            return apart
        if twin is not None:
            node.health.left()
            return f"is the node {twin.name} under another address"
        if not status.ready:
            node.health.left()
            return "draining"
        node.health.good_look(now)
        return "not well for long enough yet"

    def _judge(self, node: Node, pool: Pool, was_well: bool, reason: str) -> None:
        if node.health.well:
            if not was_well:
                self._say("node is there", node=node.name, pool=node.pool)
        else:
            if was_well:
                self._warn("node is away", node=node.name, pool=node.pool, reason=reason)
            elif node.failure != reason:
                self._log.debug("node is not there", node=node.name, pool=node.pool, reason=reason)
            node.failure = reason
        pool.judge(node)
