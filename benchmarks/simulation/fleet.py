"""A fleet on virtual time: a gateway routes every request of a trace to a node, by the gateway's own policy."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256

from benchmarks.simulation.node import Answer, NodeSize, SimulatedNode
from benchmarks.simulation.traffic import Arrival
from engine.memory.eviction import EvictionPolicy
from engine.protocol import ModelRef
from engine.simulation.fake import FakeSpec
from engine.simulation.virtual_time import VirtualLoop
from policies.fleet import Fleet
from policies.routing import choose_node

POLL_INTERVAL = 1.0
"""Seconds between two looks at a node: the gateway's default."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trace did to a fleet."""

    answers: Sequence[Answer]
    """In order of their end."""
    loads: int
    restores: int
    evictions: int
    busy: float
    starved: float
    swapping: float
    """Device seconds of all nodes together, as `Meter` names them."""
    peak_bytes: int
    """Of the node that held most."""

    @property
    def hit_rate(self) -> float:
        """Requests whose model was on the device of their node when they came."""
        return sum(answer.hit for answer in self.answers) / len(self.answers)

    @property
    def errors(self) -> Mapping[str, int]:
        """Refused requests by code."""
        return Counter(answer.code for answer in self.answers if answer.code)

    def waits(self, lane: str) -> list[float]:
        """Seconds from coming to a node to the first batch, ascending."""
        return sorted(answer.wait for answer in self.answers if answer.wait is not None and answer.arrival.lane == lane)

    @property
    def digest(self) -> str:
        """Of every answer with its moment: alike in two runs only if they were alike in everything."""
        lines = (
            f"{a.at!r} {a.arrival.time!r} {a.arrival.model.id} {a.hit} {a.wait!r} {a.code}\n" for a in self.answers
        )
        return sha256("".join(lines).encode()).hexdigest()


class _Gateway:
    """Knows of the nodes what it was last told, as a gateway does."""

    def __init__(self, nodes: Sequence[SimulatedNode]) -> None:
        self._nodes = {node.url: node for node in nodes}
        self._fleet = Fleet()
        self._clock = asyncio.get_running_loop().time
        self._look()

    async def follow(self) -> None:
        """Ask every node for its status, again and again."""
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            self._look()

    async def send(self, arrival: Arrival) -> Answer:
        """Have a request answered by the node that routing chooses."""
        chosen = choose_node(self._fleet, arrival.model.id, now=self._clock())
        assert chosen is not None, "every node is healthy"  # noqa: S101
        self._fleet.begin(chosen.url, arrival.model.id, self._clock())
        try:
            return await self._nodes[chosen.url].serve(arrival)
        finally:
            self._fleet.end(chosen.url)

    def _look(self) -> None:
        for node in self._nodes.values():
            self._fleet.update(node.facts)


def simulate(
    arrivals: Sequence[Arrival],
    specs: Mapping[ModelRef, FakeSpec],
    *,
    nodes: int,
    size: NodeSize,
    policy: EvictionPolicy,
) -> Outcome:
    """Play a trace to its end on an event loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_simulate(arrivals, specs, nodes, size, policy))


async def _simulate(
    arrivals: Sequence[Arrival],
    specs: Mapping[ModelRef, FakeSpec],
    count: int,
    size: NodeSize,
    policy: EvictionPolicy,
) -> Outcome:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise TypeError("A simulation runs on virtual time.")
    answers: list[Answer] = []
    async with AsyncExitStack() as opened:
        nodes = [SimulatedNode(f"http://node-{number}", specs, size, policy, loop) for number in range(count)]
        for node in nodes:
            opened.push_async_callback(node.close)
        gateway = _Gateway(nodes)
        following = asyncio.create_task(gateway.follow())
        opened.callback(following.cancel)

        async def answer(arrival: Arrival) -> None:
            answers.append(await gateway.send(arrival))

        async with asyncio.TaskGroup() as requests:
            for arrival in arrivals:
                await asyncio.sleep(arrival.time - loop.time())
                requests.create_task(answer(arrival))
    return Outcome(
        answers,
        loads=sum(node.machine.loads for node in nodes),
        restores=sum(node.machine.restores for node in nodes),
        evictions=sum(node.evictions for node in nodes),
        busy=sum(node.meter.busy for node in nodes),
        starved=sum(node.meter.starved for node in nodes),
        swapping=sum(node.meter.swapping for node in nodes),
        peak_bytes=max(node.machine.device.peak for node in nodes),
    )
