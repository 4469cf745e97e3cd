"""The device's and the host's memory: what models take of them, and who leaves so that another fits.

The budgets hold at every moment: a model's bytes are counted from before its memory is asked for until after it is
freed. What blocks, freeing memory included, goes through `work`.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

import structlog

from engine.errors import ModelTooLarge
from engine.memory.eviction import EvictionPolicy, plan_eviction
from engine.memory.tiers import Entry, HostCopy, Move, Place, Tiered
from engine.work import Work

M = TypeVar("M")


class Memory(Generic[M]):
    """All models of a node that are in one of its memories, or on the way there."""

    def __init__(
        self,
        *,
        budget: int,
        host_budget: int,
        total: int | None,
        policy: EvictionPolicy,
        work: Work,
        discarded: Callable[[], None],
        on_move: Callable[[Move], None],
    ) -> None:
        self.entries: dict[Hashable, Entry[M]] = {}
        """The least recently used first."""
        self.budget = budget
        self.host_budget = host_budget
        self._total = total
        self._policy = policy
        self._work = work
        self._discarded = discarded
        self._on_move = on_move
        self._credit = 0.0
        self._changed = asyncio.Event()
        self._queue = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def used(self) -> int:
        """Bytes of the device that models take and loading ones have been given."""
        return sum(entry.bytes for entry in self.entries.values())

    @property
    def host_used(self) -> int:
        """Bytes of host memory that copies of models take."""
        return sum(entry.host_bytes for entry in self.entries.values())

    def announce(self) -> None:
        """Wake whoever waits for a model to be freed, loaded or gone."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Wait until a model is freed, loaded or gone."""
        await self._changed.wait()

    def touch(self, entry: Entry[M], now: float) -> None:
        """Note that a model was used until now."""
        entry.last_used = now
        entry.credit = self._credit
        if self.entries.get(entry.key) is entry:
            self.entries[entry.key] = self.entries.pop(entry.key)

    def task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Start what nobody's leaving may stop; `close` does."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Give up what is under way and let go of every model."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.entries.clear()

    async def take_room(self, entry: Entry[M]) -> None:
        """Evict until a model fits on the device, waiting for models in use, and count it. First come, first served.

        `ModelTooLarge` where the device could never hold it beside the pinned ones; then nobody has left.
        """
        condemned: list[Entry[M]] = []
        async with self._queue:
            try:
                while (victims := self._victims(entry)) is None or victims:
                    if victims:
                        await self._evict_all(victims)
                        continue
                    # Those that would go if nobody used them take nobody new from now on.
                    for victim in self._victims(entry, if_idle=True) or ():
                        if victim not in condemned:
                            victim.condemned += 1
                            condemned.append(victim)
                    await self.change()
                entry.bytes = entry.size
            finally:
                for spared in condemned:
                    spared.condemned -= 1
                self.announce()

    async def shrink(self) -> None:
        """Evict what idle models it takes to hold a model whose batches turned out to take more than was thought."""
        residents = [entry.on_device(busy=not entry.evictable) for entry in self.entries.values() if entry.bytes]
        plan = plan_eviction(residents, 0, self.budget, self._policy, total=self._total)
        await self._evict_all([self.entries[resident.key] for resident in plan or ()])

    async def evict_unused(self, limit: float, now: float) -> float | None:
        """Evict what nobody has used for `limit` seconds; when the next model will have come so far, or None."""
        await self._evict_all([entry for entry in self._idle() if entry.last_used + limit <= now])
        return min((entry.last_used + limit for entry in self._idle()), default=None)

    async def evict_one(self, spared: M) -> bool:
        """Evict the idle model of least worth. False where none is idle."""
        idle = [entry for entry in self._idle() if entry.model is not spared]
        if idle:
            await self._evict_all([min(idle, key=lambda entry: self._policy(entry.on_device(busy=False)))])
        return bool(idle)

    async def evict(self, entry: Entry[M], *, keep: bool = True) -> None:
        """Free the device copy of a model that nobody uses; unless a copy in host memory is kept, forget the model."""
        await asyncio.shield(self._send_away(entry, keep=keep))

    def _send_away(self, entry: Entry[M], *, keep: bool) -> "asyncio.Task[None]":
        """From here on the model takes nobody new."""
        if entry.leaving is None:
            model: list[M | None] = [entry.model]
            freed: list[HostCopy[M] | None] = []
            copying = keep and entry.host is None and self._free_host(entry, freed)
            if not keep:
                freed.append(entry.host)
                entry.host = None
            entry.model = None
            entry.leaving = self.task(self._leave(entry, model, freed, copying))
        return entry.leaving

    def _idle(self) -> list[Entry[M]]:
        return [entry for entry in self.entries.values() if entry.evictable and not entry.pinned]

    async def _evict_all(self, victims: Collection[Entry[M]]) -> None:
        self._credit = max([self._credit, *(self._policy(entry.on_device(busy=False)) for entry in victims)])
        leaving = [self._send_away(entry, keep=True) for entry in victims]
        await asyncio.gather(*map(asyncio.shield, leaving))

    async def _leave(
        self, entry: Entry[M], model: list[M | None], freed: list[HostCopy[M] | None], copying: bool
    ) -> None:
        """The lists are the last that hold what leaves, so that its memory is freed by the work, not on the loop."""
        log = structlog.get_logger().bind(model=entry.ref.id)
        source: Place = "device" if entry.bytes else "host"
        try:
            if (copy := await self._work(partial(_free, model, freed, copying, self._discarded))) is not None:
                entry.host, entry.host_bytes = copy, copy.bytes
        except Exception:
            log.exception("model_not_kept_in_host_memory")
        finally:
            entry.leaving = None
            entry.bytes = 0
            if entry.host is None:
                entry.host_bytes = 0
                if self.entries.get(entry.key) is entry:
                    del self.entries[entry.key]
            self.announce()
        if entry.failure is None:
            target: Place = "host" if entry.host is not None else "disk"
            self._on_move(Move(source, target))
            log.info("model_evicted", bytes=entry.size, to=target)

    def _free_host(self, entry: Entry[M], freed: list[HostCopy[M] | None]) -> bool:
        """Take room for a copy in host memory; False where there is none. What has to go for it is put into `freed`."""
        copies = [other.in_host() for other in self.entries.values() if other.host_bytes]
        victims = plan_eviction(copies, entry.size, self.host_budget)
        if victims is None or not isinstance(entry.model, Tiered):
            return False
        for victim in victims:
            other = self.entries[victim.key]
            freed.append(other.host)
            other.host, other.host_bytes = None, 0
            if other.tier == "host":
                del self.entries[victim.key]
                self._on_move(Move("host", "disk"))
        entry.host_bytes = entry.size
        return True

    def _victims(self, entry: Entry[M], *, if_idle: bool = False) -> list[Entry[M]] | None:
        """Who leaves the device for an entry, or would if nobody used it; None where that would not be enough."""
        self._refuse_the_impossible(entry)
        residents = [
            other.on_device(busy=not (other.settled if if_idle else other.evictable))
            for other in self.entries.values()
            if other.bytes
        ]
        plan = plan_eviction(
            residents, entry.size, self.budget, self._policy, activation=entry.activation, total=self._total
        )
        return None if plan is None else [self.entries[resident.key] for resident in plan]

    def _refuse_the_impossible(self, entry: Entry[M]) -> None:
        pinned = [other for other in self.entries.values() if other.pinned and other is not entry]
        held = sum(other.bytes for other in pinned)
        beside = f", of which pinned models hold {held}" if held else ""
        activation = max((other.activation for other in (entry, *pinned)), default=0)
        if entry.size > self.budget - held:
            raise ModelTooLarge(
                f"The model {entry.ref.id} needs {entry.size} bytes; "
                f"the node's memory budget is {self.budget}{beside}.",
                limit=self.budget - held,
                actual=entry.size,
            )
        if self._total is not None and entry.size + activation > self._total - held:
            raise ModelTooLarge(
                f"The model {entry.ref.id} needs {entry.size} bytes and its batches {activation}; "
                f"the device has {self._total} for both{beside}.",
                limit=self._total - held,
                actual=entry.size + activation,
            )


def _free(
    model: list[M | None], freed: list[HostCopy[M] | None], copying: bool, discarded: Callable[[], None]
) -> HostCopy[M] | None:
    """Let go of copies in host memory, then of the model, which may leave one there."""
    freed.clear()
    leaving = model.pop()
    try:
        return leaving.to_host() if copying and isinstance(leaving, Tiered) else None
    finally:
        del leaving
        discarded()
