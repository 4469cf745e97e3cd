"""A trace through a fleet: gateways that know what they were last told, nodes that serve, fail and come back."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from benchmarks.fleet.clock import Clock
from benchmarks.fleet.node import Request, SimulatedNode
from benchmarks.fleet.routers import Router
from benchmarks.fleet.traffic import Arrival
from benchmarks.simulation.node import NodeSize
from engine.simulation.fake import FakeSpec
from policies.health import Health

JITTER = 0.2
"""Of the pause between two looks at a node, up and down."""
AWAY_INTERVAL = 0.2
"""Seconds between two looks at a node that is away."""
HOP = 5e-4
"""Seconds from a gateway to a node."""
ATTEMPTS = 2
AFTERWARDS = 60.0
"""Seconds after the last arrival for which answers are waited for."""
BUSY_EVERY = 10.0
"""Seconds over which the nodes' work is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Everything around the traffic."""

    nodes: int
    gateways: int = 4
    poll: float = 5.0
    """Seconds between two looks at a node: with a thousand nodes a gateway looks at 200 a second."""
    failures: float = 0.2
    """Nodes that fail per second, all together."""
    away: float = 30.0
    """Seconds until a failed node is back, empty."""
    size: NodeSize = field(default_factory=NodeSize)


@dataclass(slots=True)
class Outcome:
    """What was seen after the warm-up."""

    requests: int = 0
    hits: int = 0
    errors: int = 0
    """Whose second node broke off too."""
    unanswered: int = 0
    """When `AFTERWARDS` was over."""
    retries: int = 0
    waits: list[float] = field(default_factory=list)
    """Seconds from coming to a gateway to the first batch, ascending."""
    loads: int = 0
    restores: int = 0
    imbalance: list[float] = field(default_factory=list)
    """Of each second: the work of the busiest node over the mean of those that are there."""
    queues: list[float] = field(default_factory=list)
    """Of each second: the requests at the node that has most over the mean."""
    busy: float = 0.0
    """Share of the nodes' time."""
    copies: float = 0.0
    """Nodes that hold a model, on average over the models that any holds."""

    def count(self, request: Request, now: float) -> None:
        """A request is over, or will be given up at `now`."""
        self.requests += 1
        self.retries += request.tries - 1
        self.hits += request.hit
        self.waits.append((now if request.began < 0 else request.began) - request.came)

    @property
    def hit_rate(self) -> float:
        """Requests whose model was on the device of the node that they came to."""
        return self.hits / max(1, self.requests)


class _Gateway:
    def __init__(self, router: Router, nodes: dict[str, SimulatedNode], setting: Setting, clock: Clock, seed: int):
        self.router = router
        self._nodes = nodes
        self._clock = clock
        self._poll = setting.poll
        self._source = random.Random(f"gateway {seed}")
        self._health = {url: Health() for url in nodes}
        self.done: Callable[[Request, bool], None] = lambda *_: None
        for url, node in nodes.items():
            self._health[url].good_look(0.0)
            self.router.learn(node.facts())
            clock.after(self._source.uniform(0, self._poll), self._look, url)

    def send(self, request: Request, exclude: tuple[str, ...] = ()) -> None:
        """Have the request served, once more elsewhere where its node breaks off."""
        url = self.router.choose(request.model, self._clock.now, exclude)
        if url is None:
            self.done(request, False)
            return
        request.tries += 1
        self.router.begin(url, request.model, self._clock.now)
        request.ended = lambda request, well: self._ended(request, url, well)
        self._clock.after(HOP, self._arrive, request, url)

    def _arrive(self, request: Request, url: str) -> None:
        node = self._nodes[url]
        if node.alive:
            node.serve(request)
        else:
            request.ended(request, False)

    def _ended(self, request: Request, url: str, well: bool) -> None:
        self.router.end(url, request.model if well else None)
        if well:
            self.done(request, True)
            return
        health = self._health[url]
        health.broke_off(self._clock.now)
        self.router.judge(url, health.well)
        if request.tries < ATTEMPTS:
            self.send(request, (url,))
        else:
            self.done(request, False)

    def _look(self, url: str) -> None:
        node, health = self._nodes[url], self._health[url]
        before = health.well
        if node.alive:
            health.good_look(self._clock.now)
            self.router.learn(node.facts())
        else:
            health.bad_look(self._clock.now)
        if health.well != before:
            self.router.judge(url, health.well)
        pause = self._poll if health.well else AWAY_INTERVAL
        self._clock.after(pause * self._source.uniform(1 - JITTER, 1 + JITTER), self._look, url)


def play(
    arrivals: Iterable[Arrival],
    specs: dict[str, FakeSpec],
    router: Callable[[int], Router],
    setting: Setting,
    *,
    warm_up: float,
    seed: int,
) -> Outcome:
    """Play a trace to its end; what came before `warm_up` seconds is not counted."""
    clock, outcome, source = Clock(), Outcome(), random.Random(f"play {seed}")
    nodes = {
        url: SimulatedNode(url, specs, setting.size, clock)
        for url in (f"http://10.0.{number >> 8}.{number & 255}:9000" for number in range(setting.nodes))
    }
    gateways = [_Gateway(router(number), nodes, setting, clock, number) for number in range(setting.gateways)]

    waiting: dict[Request, None] = {}

    def done(request: Request, well: bool) -> None:
        if request.came < warm_up:
            return
        del waiting[request]
        outcome.errors += not well
        outcome.count(request, clock.now)

    def fail() -> None:
        node = source.choice(list(nodes.values()))
        if node.alive:
            node.fail()
            clock.after(setting.away, node.revive)
        clock.after(source.expovariate(setting.failures), fail)

    for gateway in gateways:
        gateway.done = done
    if setting.failures:
        clock.after(source.expovariate(setting.failures), fail)
    meter = _Meter(nodes, clock, outcome, warm_up)
    clock.after(BUSY_EVERY, meter.look)
    for arrival in arrivals:
        clock.until(arrival.time)
        request = Request(arrival.time, arrival.model, arrival.tokens)
        if arrival.time >= warm_up:
            waiting[request] = None
        source.choice(gateways).send(request)
    meter.end()
    clock.until(clock.now + AFTERWARDS)
    outcome.unanswered = len(waiting)
    for request in waiting:
        outcome.count(request, clock.now)
    outcome.waits.sort()
    return outcome


class _Meter:
    """Looks at all nodes once a second."""

    def __init__(self, nodes: dict[str, SimulatedNode], clock: Clock, outcome: Outcome, warm_up: float) -> None:
        self._nodes = list(nodes.values())
        self._clock = clock
        self._outcome = outcome
        self._warm_up = warm_up
        self._busy = [0.0] * len(self._nodes)
        self._total = 0.0
        self._seconds = 0.0
        self._before = (0, 0)
        self._over = False

    def look(self) -> None:
        """One second more."""
        if self._over:
            return
        busy = [node.busy for node in self._nodes]
        if self._clock.now >= self._warm_up:
            worked = [after - before for after, before in zip(busy, self._busy, strict=True)]
            there = sum(node.alive for node in self._nodes)
            waiting = [len(node.requests) for node in self._nodes]
            self._outcome.imbalance.append(max(worked) / (sum(worked) / there))
            self._outcome.queues.append(max(waiting) / max(1e-9, sum(waiting) / there))
            self._total += sum(worked) / there
            self._seconds += BUSY_EVERY
        else:
            self._before = self._moves()
        self._busy = busy
        self._clock.after(BUSY_EVERY, self.look)

    def end(self) -> None:
        """The last arrival has come."""
        loads, restores = self._moves()
        self._outcome.loads, self._outcome.restores = loads - self._before[0], restores - self._before[1]
        self._outcome.busy = self._total / max(1e-9, self._seconds)
        held = [model for node in self._nodes for model in node.facts().resident]
        self._outcome.copies = len(held) / max(1, len(set(held)))
        self._over = True

    def _moves(self) -> tuple[int, int]:
        return sum(node.loads for node in self._nodes), sum(node.restores for node in self._nodes)
