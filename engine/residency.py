"""Which models are in memory: on the device as many as its budget holds, the least worth keeping leaving first.

- A model in use is never evicted, nor is a pinned one. A load that needs the room of a model in use waits for it; new
  requests for that model wait behind the load, so that constant traffic starves nobody.
- A model that leaves the device stays in host memory, under that memory's own budget, and comes back by one copy.
- Bytes are known before a load, so a load is admitted or refused, never tried until it breaks.
- Two requests for one cold model load it once; loads of different models run side by side.
- A failed load is remembered for a while with its reason; one that never ends is given up.
"""

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Callable, Collection, Hashable
from contextlib import asynccontextmanager
from functools import partial
from typing import Generic, TypeVar

import structlog

from engine.errors import Draining, EngineError, LoadTimedOut, ModelInvalid, ModelLoading, ModelTooLarge, OutOfMemory
from engine.memory.budgets import Memory
from engine.memory.eviction import EvictionPolicy, least_recently_used
from engine.memory.tiers import Calibrated, Entry, LoadPlan, Move, Place, key_of
from engine.progress import Progress
from engine.protocol import ModelRef
from engine.work import Work, threads

__all__ = ["COOL_DOWN", "Entry", "LoadPlan", "Move", "Residency"]

M = TypeVar("M")
T = TypeVar("T")

COOL_DOWN = 30.0
"""Seconds for which a failed load is not tried again unless asked for."""

RETRY_AFTER = 2.0
LEAST_PAUSE = 0.01
"""Seconds between two looks for idle models."""


class Residency(Generic[M]):
    """The models of one node. Lives on one event loop."""

    def __init__(
        self,
        *,
        budget: int,
        plan: Callable[[ModelRef, Progress], LoadPlan[M]],
        host_budget: int = 0,
        total: int | None = None,
        policy: EvictionPolicy = least_recently_used,
        idle_timeout: float | None = None,
        load_timeout: float = 600.0,
        patience: float = 120.0,
        discarded: Callable[[], None] = lambda: None,
        on_load: Callable[[str], None] = lambda _: None,
        on_evict: Callable[[], None] = lambda: None,
        on_move: Callable[[Move], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        work: Work = threads,
    ) -> None:
        """Times are in seconds, memory in bytes; `total` is what models and their batches may take together.

        `discarded` is called, off the loop, whenever memory was freed.
        """
        self._plan = plan
        self._idle_timeout = idle_timeout
        self._load_timeout = load_timeout
        self._patience = patience
        self._on_load = on_load
        self._on_evict = on_evict
        self._on_move = on_move
        self._clock = clock
        self._work = work
        self._memory: Memory[M] = Memory(
            budget=budget,
            host_budget=host_budget,
            total=total,
            policy=policy,
            work=work,
            discarded=discarded,
            on_move=self._left,
        )
        self._pins: set[Hashable] = set()
        self._closed = False
        self._idling: asyncio.Task[None] | None = None

    @property
    def budget(self) -> int:
        """Bytes of the device that models may take."""
        return self._memory.budget

    @property
    def used(self) -> int:
        """Bytes of the device that models take and loading ones have been given."""
        return self._memory.used

    @property
    def host_budget(self) -> int:
        """Bytes of host memory that models may take."""
        return self._memory.host_budget

    @property
    def host_used(self) -> int:
        """Bytes of host memory that copies of models take."""
        return self._memory.host_used

    @property
    def entries(self) -> Collection[Entry[M]]:
        """Models in memory, loading and failed ones; the least recently used first."""
        return self._memory.entries.values()

    def is_settled(self, ref: ModelRef) -> bool:
        """Whether a model is on the device and would be given at once."""
        entry = self._memory.entries.get(key_of(ref))
        return entry is not None and entry.settled and not entry.condemned

    @asynccontextmanager
    async def acquire(
        self, ref: ModelRef, *, patience: float | None = None, pinned_as_it_is: bool = False
    ) -> AsyncIterator[M]:
        """Use a model; it is brought to the device if need be and stays until the block ends.

        Waits for it as long as `patience` and the node's own allow, in seconds; then `ModelLoading`. A reference says
        whether the model is pinned, unless it shall be `pinned_as_it_is`.
        """
        entry: Entry[M] | None = None
        try:
            try:
                async with asyncio.timeout(self._patience if patience is None else min(patience, self._patience)):
                    entry = await self._enter(ref, pinned_as_it_is=pinned_as_it_is)
                    model = await self._loaded(entry)
            except TimeoutError:
                raise ModelLoading(
                    f"The model {ref.id} is still loading. Try again.", retry_after=RETRY_AFTER
                ) from None
            yield model
        finally:
            if entry is not None:
                entry.in_use -= 1
                self._memory.touch(entry, self._clock())
                if not entry.in_use:
                    self._memory.announce()

    async def load(self, ref: ModelRef) -> None:
        """Bring a model to the device, trying at once what failed before."""
        self.forget_failure(ref)
        async with self.acquire(ref):
            pass

    async def unload(self, ref: ModelRef) -> None:
        """Take a model out of all memory once nobody uses it; forget its pin and its failure.

        Requests that come meanwhile load it anew.
        """
        self._pins.discard(key_of(ref))
        if (entry := self._find(ref)) is None:
            return
        entry.condemned += 1
        try:
            while entry.in_use or entry.loading is not None or entry.leaving is not None:
                await self._memory.change()
            if self._find(ref) is entry:
                await self._memory.evict(entry, keep=False)
            self._retry_what_found_no_room()
        finally:
            entry.condemned -= 1
            self._memory.announce()

    async def pin(self, ref: ModelRef, pinned: bool) -> None:
        """Bring a model to the device and keep it there; or let it go again, where its own reference does not pin it.

        `ModelTooLarge` where the pinned models would not fit together; then it is not pinned.
        """
        if not pinned:
            self._pins.discard(key_of(ref))
            if (entry := self._find(ref)) is not None:
                entry.pinned = False
                self._retry_what_found_no_room()
                self._memory.announce()
            return
        self._pins.add(key_of(ref))
        try:
            await self.load(ref)
        except BaseException:
            await self.pin(ref, False)
            raise

    async def evict_sibling(self, of: M) -> bool:
        """Evict an idle model, for the batch of another one that ran out of memory. False where none is idle."""
        return await self._memory.evict_one(of)

    def forget_failure(self, ref: ModelRef) -> None:
        """Let the next use of a model try to load it at once."""
        entry = self._find(ref)
        if entry is not None and entry.failure is not None:
            entry.retry_at = self._clock()

    async def close(self) -> None:
        """Give up the moves under way and let go of every model; whoever waits for one is told so."""
        self._closed = True
        for entry in self.entries:
            if entry.loading is not None:
                entry.failure = Draining("The node has stopped.", retry_after=RETRY_AFTER)
        await self._memory.close()
        self._memory.announce()

    def _retry_what_found_no_room(self) -> None:
        """Let the next use of a model that did not fit beside the pinned ones try again: they have changed."""
        for entry in self.entries:
            if isinstance(entry.failure, ModelTooLarge):
                entry.retry_at = self._clock()

    def _find(self, ref: ModelRef) -> Entry[M] | None:
        return self._memory.entries.get(key_of(ref))

    async def _enter(self, ref: ModelRef, *, pinned_as_it_is: bool) -> Entry[M]:
        """Count a user of the model's entry, and set the model in motion where it is not on the device."""
        while (entry := self._find(ref)) is not None and (entry.condemned or entry.leaving is not None):
            await self._memory.change()
        if self._closed:
            raise Draining("The node has stopped.", retry_after=RETRY_AFTER)
        if entry is None or (entry.failure is not None and self._clock() >= entry.retry_at):
            entry = self._memory.entries[key_of(ref)] = Entry(ref, last_used=self._clock())
        if entry.failure is None and entry.model is None and entry.loading is None:
            entry.began, entry.progress = self._clock(), Progress()
            entry.loading = self._memory.task(self._bring(entry))
        if self._idle_timeout is not None and self._idling is None:
            self._idling = self._memory.task(self._evict_idle(self._idle_timeout))
        if not pinned_as_it_is:
            entry.pinned = ref.pinned or entry.key in self._pins
        entry.in_use += 1
        entry.uses += 1
        return entry

    async def _loaded(self, entry: Entry[M]) -> M:
        if entry.loading is not None:
            await asyncio.wait([entry.loading])
        if entry.failure is not None:
            raise copy.copy(entry.failure)
        assert entry.model is not None, "a load that ended without a model has a failure"  # noqa: S101
        return entry.model

    async def _bring(self, entry: Entry[M]) -> None:
        """To the device: from host memory where a copy is, else from disk."""
        log = structlog.get_logger().bind(model=entry.ref.id)
        source: Place = "disk" if entry.host is None else "host"
        try:
            if entry.host is None:
                plan = await self._in_time(entry, partial(self._plan, entry.ref, entry.progress))
                entry.size, entry.activation, build = plan.bytes, plan.activation, plan.load
            else:
                build = entry.host.to_device
            entry.progress.enter("wait")
            await self._memory.take_room(entry)
            if source == "host":
                entry.progress.enter("restore")
            began = self._clock()
            entry.model = await self._in_time(entry, build)
            entry.uses, entry.reload_seconds = entry.in_use, self._clock() - began
            if isinstance(entry.model, Calibrated):
                entry.activation = entry.model.activation
                await self._memory.shrink()
            log.info("model_loaded", bytes=entry.bytes, source=source, seconds=round(entry.reload_seconds, 3))
            self._on_move(Move(source, "device", entry.reload_seconds))
        except EngineError as error:
            self._fail(entry, error)
            log.warning("model_failed", reason=error.message)
        except MemoryError:
            self._fail(entry, OutOfMemory(f"Memory ran out while {entry.ref.id} was loaded."))
            log.warning("model_failed", reason="out of memory")
        except Exception:
            self._fail(entry, ModelInvalid(f"The model {entry.ref.id} can not be loaded; the node's log says why."))
            log.exception("model_failed")
        finally:
            entry.loading = None
            self._on_load(entry.state)
            self._memory.announce()

    async def _in_time(self, entry: Entry[M], job: Callable[[], T]) -> T:
        """The outcome of a job, unless it takes too long: then whatever comes of it is dropped."""
        limit = asyncio.timeout(self._load_timeout)
        try:
            async with limit:
                return await self._work(job)
        except TimeoutError:
            if not limit.expired():
                raise
            raise LoadTimedOut(
                f"The load of {entry.ref.id} did not end within {self._load_timeout:g} seconds and was given up.",
                retry_after=COOL_DOWN,
            ) from None

    def _fail(self, entry: Entry[M], error: EngineError) -> None:
        entry.bytes = entry.host_bytes = 0
        entry.model = entry.host = None
        entry.failure = copy.copy(error)  # without the traceback, whose frames hold what the load had made
        entry.retry_at = self._clock() + (error.retry_after or COOL_DOWN)

    def _left(self, move: Move) -> None:
        if move.source == "device":
            self._on_evict()
        self._on_move(move)

    async def _evict_idle(self, limit: float) -> None:
        """Evict what nobody has used for so many seconds, for as long as the node lives."""
        while True:
            now = self._clock()
            due = await self._memory.evict_unused(limit, now)
            if due is None:
                await self._memory.change()
            else:
                await asyncio.sleep(max(due - now, LEAST_PAUSE))
