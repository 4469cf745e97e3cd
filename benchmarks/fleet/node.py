"""One node as a discrete-event model: quick enough for a thousand of them, with the engine's own rules in it.

Who leaves the memory is `engine.memory.eviction.plan_eviction`, whose turn it is
`engine.scheduling.turns.ModelTurns`, and what models take is the simulation's catalogue. The tasks, locks and timers
around them in the engine are left out, and so are the tokenizer, the packing of a batch while another one runs, and
lanes. `benchmarks.fleet.check` compares the two.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.fleet.clock import Clock
from benchmarks.simulation.node import READ_HEADERS, NodeSize
from engine.memory.eviction import Resident, least_recently_used, plan_eviction
from engine.scheduler import TURN_BATCHES
from engine.scheduling.speed import BatchRecord, Speed
from engine.scheduling.turns import ModelTurns
from engine.simulation.fake import FakeSpec
from policies.fleet import NodeFacts


@dataclass(slots=True, eq=False)
class Request:
    """One request on its way through the fleet."""

    came: float
    model: str
    tokens: int
    tries: int = 0
    hit: bool = False
    """Its model was on the device of the node that it came to."""
    began: float = -1.0
    """When its first batch began."""
    flow: str = ""
    ended: Callable[["Request", bool], None] = lambda *_: None
    """Called with whether it was answered; else its node broke off."""


@dataclass(slots=True, eq=False)
class Held:
    """A model in the memory of the device, or on its way there."""

    model: str
    bytes: int
    last_used: float
    loading: bool = True
    using: int = 0
    waiting: list[Request] = field(default_factory=list)


class SimulatedNode:
    """Serves requests in virtual time until it fails; it comes back empty."""

    def __init__(self, url: str, specs: dict[str, FakeSpec], size: NodeSize, clock: Clock) -> None:
        self.url = url
        self.alive = True
        self.busy = 0.0
        """Seconds for which its device worked."""
        self.loads = 0
        self.restores = 0
        self._specs = specs
        self._size = size
        self._clock = clock
        self._life = 0
        self._empty()

    def _empty(self) -> None:
        self.requests: dict[Request, None] = {}
        """That are not finished, in the order in which they came; the scheduler knows those whose model is there."""
        self._scheduled = 0
        self._held: dict[str, Held] = {}
        self._used = 0
        self._host: dict[str, int] = {}
        self._homeless: deque[Held] = deque()
        self._turns: ModelTurns[str, Request] = ModelTurns(TURN_BATCHES * self._size.batch_tokens)
        self._running = False
        self._speed = Speed(workers=1)
        self._facts: NodeFacts | None = None

    def serve(self, request: Request) -> None:
        """Take a request; `request.ended` is called later."""
        self.requests[request] = None
        held = self._held.get(request.model)
        request.hit = held is not None and not held.loading
        if held is None:
            held = self._bring(request.model)
        held.using += 1
        if held.loading:
            held.waiting.append(request)
        else:
            self._schedule(request)

    def facts(self) -> NodeFacts:
        """What it says when it is asked for its status."""
        if self._facts is None:
            self._facts = NodeFacts(
                self.url,
                resident=frozenset(model for model, held in self._held.items() if not held.loading),
                loading=frozenset(model for model, held in self._held.items() if held.loading),
                restorable=frozenset(self._host.keys() - self._held.keys()),
                bytes={model: held.bytes for model, held in self._held.items()},
            )
        return NodeFacts(
            self.url,
            resident=self._facts.resident,
            loading=self._facts.loading,
            restorable=self._facts.restorable,
            waiting_requests=self._scheduled,
            waiting_tokens=self._turns.tokens,
            tokens_per_second=self._speed.tokens_per_second,
            free_bytes=self._size.budget - self._used,
            bytes=self._facts.bytes,
        )

    def fail(self) -> None:
        """Break every connection and forget everything."""
        broken = list(self.requests)
        self.alive = False
        self._life += 1
        self._empty()
        for request in broken:
            request.ended(request, False)

    def revive(self) -> None:
        """Be there again."""
        self.alive = True

    def _bring(self, model: str) -> Held:
        held = self._held[model] = Held(model, self._specs[model].bytes, self._clock.now)
        self._facts = None
        self._homeless.append(held)
        self._find_room()
        return held

    def _find_room(self) -> None:
        """Load those that wait for room, first come, first served, as far as models that nobody uses can leave."""
        while self._homeless:
            held = self._homeless[0]
            waiting = {other.model for other in self._homeless}
            residents = [
                Resident(other.model, other.bytes, other.last_used, busy=other.loading or other.using > 0)
                for other in self._held.values()
                if other.model not in waiting
            ]
            victims = plan_eviction(residents, held.bytes, self._size.budget, least_recently_used)
            if victims is None:
                return
            self._homeless.popleft()
            self._load(held, victims)

    def _load(self, held: Held, victims: Sequence[Resident]) -> None:
        spec, now = self._specs[held.model], self._clock.now
        for victim in victims:
            self._leave(str(victim.key))
        leaving = max((self._specs[str(victim.key)].restore_seconds for victim in victims), default=0.0)
        self._used += held.bytes
        if held.model in self._host:
            self.restores += 1
            self._host[held.model] = self._host.pop(held.model)
            seconds = spec.restore_seconds
        else:
            self.loads += 1
            seconds = READ_HEADERS + spec.load_seconds
        held.last_used = now
        self._clock.after(leaving + seconds, self._loaded, self._life, held)

    def _leave(self, model: str) -> None:
        """For host memory, where the least recently left go for it; a copy that is there still costs nothing."""
        size = self._held.pop(model).bytes
        self._used -= size
        self._host.pop(model, None)
        while self._host and sum(self._host.values()) + size > self._size.host_budget:
            del self._host[next(iter(self._host))]
        if size <= self._size.host_budget:
            self._host[model] = size

    def _loaded(self, life: int, held: Held) -> None:
        if life != self._life:
            return
        held.loading = False
        self._facts = None
        for request in held.waiting:
            self._schedule(request)
        held.waiting.clear()

    def _schedule(self, request: Request) -> None:
        self._scheduled += 1
        self._turns.add(request.model, request.flow, 1.0, (request,), request.tokens)
        if not self._running:
            self._run()

    def _run(self) -> None:
        model, batch, _ = self._turns.take(self._size.batch_tokens)
        spec, now = self._specs[model], self._clock.now
        for request in batch:
            if request.began < 0:
                request.began = now
        seconds = spec.seconds_per_batch + spec.seconds_per_token * sum(request.tokens for request in batch)
        self._running = True
        self._clock.after(seconds, self._ran, self._life, self._held[model], batch, seconds)

    def _ran(self, life: int, held: Held, batch: Sequence[Request], seconds: float) -> None:
        if life != self._life:
            return
        self.busy += seconds
        self._speed.add(BatchRecord(len(batch), sum(request.tokens for request in batch), seconds))
        self._running = False
        self._scheduled -= len(batch)
        held.using -= len(batch)
        held.last_used = self._clock.now
        if self._turns:
            self._run()
        if self._homeless and not held.using:
            self._find_room()
        for request in batch:
            del self.requests[request]
            request.ended(request, True)
