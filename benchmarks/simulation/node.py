"""One node: the real residency and the real scheduler over a fake machine, and what is seen of them from outside."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.simulation.traffic import Arrival
from engine.errors import EngineError
from engine.memory.eviction import EvictionPolicy
from engine.progress import Progress
from engine.protocol import ModelRef, Tier
from engine.residency import LoadPlan, Residency
from engine.scheduler import Scheduler
from engine.settings import EngineSettings
from engine.simulation.fake import FakeMachine, FakeModel, FakeSpec, fake_tokens
from engine.simulation.virtual_time import VirtualLoop
from policies.fleet import NodeFacts

READ_HEADERS = 5e-3
"""Seconds to find a model's files and read their headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSize:
    """What a node has."""

    budget: int = 20 * 2**30
    """Bytes of device memory for models: a 24 GB card."""
    host_budget: int = 40 * 2**30
    batch_tokens: int = 16384


@dataclass(slots=True)
class Meter:
    """Where the device's time went, in virtual seconds."""

    loop: VirtualLoop
    busy: float = 0.0
    starved: float = 0.0
    """Idle while a request waited whose model was there."""
    swapping: float = 0.0
    """Idle while all that waited were requests whose models were on their way in."""
    runnable: int = 0
    fetching: int = 0
    running: int = 0
    _since: float = 0.0

    def advance(self, *, runnable: int = 0, fetching: int = 0) -> None:
        """Add the time since the last change to whoever had it; then so many more requests run and fetch."""
        now = self.loop.time()
        passed, self._since = now - self._since, now
        if self.running:
            self.busy += passed
        elif self.runnable:
            self.starved += passed
        elif self.fetching:
            self.swapping += passed
        self.runnable += runnable
        self.fetching += fetching

    def run(self, running: int) -> None:
        """So many batches are on the device from now on."""
        self.advance()
        self.running = running


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request got."""

    arrival: Arrival
    hit: bool
    """Its model was on the device when it came to the node."""
    wait: float | None
    """Seconds until its first batch began; None where it was refused."""
    at: float
    code: str = ""
    """Of the error."""


class SimulatedNode:
    """Serves requests as the engine's runtime does: acquire the model, then run."""

    def __init__(
        self,
        url: str,
        specs: Mapping[ModelRef, FakeSpec],
        size: NodeSize,
        policy: EvictionPolicy,
        loop: VirtualLoop,
    ) -> None:
        self.url = url
        self.meter = Meter(loop)
        self.machine = FakeMachine(on_running=self.meter.run)
        self.evictions = 0
        self._specs = specs
        self._loop = loop
        self.residency: Residency[FakeModel] = Residency(
            budget=size.budget,
            host_budget=size.host_budget,
            plan=self._plan,
            policy=policy,
            work=self.machine.work,
            on_evict=self._count_eviction,
            clock=loop.time,
        )
        self.scheduler = Scheduler(
            work=self.machine,
            batch_tokens=size.batch_tokens,
            workers=1,
            max_waiting_tokens=EngineSettings().max_waiting_tokens,
            clock=loop.time,
        )

    async def serve(self, arrival: Arrival) -> Answer:
        """One request, from its coming to the node to its answer."""
        hit = arrival.model.id in self.models("device")
        texts = [fake_tokens(length, first=place) for place, length in enumerate(arrival.lengths)]
        came = self._loop.time()
        self.meter.advance(fetching=1)
        fetching = True
        try:
            async with self.residency.acquire(arrival.model) as model:
                self.meter.advance(fetching=-1, runnable=1)
                fetching = False
                acquired = self._loop.time()
                ran = await self.scheduler.run(model, texts, flow=arrival.flow, lane=arrival.lane)
        except EngineError as error:
            return Answer(arrival, hit, None, self._loop.time(), error.code)
        finally:
            self.meter.advance(fetching=-fetching, runnable=-(not fetching))
        return Answer(arrival, hit, acquired - came + ran.queued, self._loop.time())

    def models(self, *tiers: Tier) -> frozenset[str]:
        """Ids of the models in one of these places."""
        return frozenset(entry.ref.id for entry in self.residency.entries if entry.tier in tiers)

    @property
    def facts(self) -> NodeFacts:
        """What a gateway reads out of its status."""
        return NodeFacts(
            self.url,
            resident=self.models("device"),
            loading=self.models("loading"),
            restorable=self.models("host"),
            waiting_requests=self.scheduler.waiting_requests,
            waiting_tokens=self.scheduler.waiting_tokens,
            free_bytes=self.residency.budget - self.residency.used,
        )

    async def close(self) -> None:
        """Let go of everything."""
        await self.scheduler.close()
        await self.residency.close()

    def _count_eviction(self) -> None:
        self.evictions += 1

    def _plan(self, ref: ModelRef, _progress: Progress) -> LoadPlan[FakeModel]:
        self.machine.work.spend(READ_HEADERS)
        spec = self._specs[ref]
        return LoadPlan(spec.bytes, lambda: self.machine.load(spec))
