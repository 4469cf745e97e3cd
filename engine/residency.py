"""Which models are in the device's memory: as many as its byte budget holds, the least recently used one leaving first.

- A model in use is never evicted, nor is a pinned one. A load that needs the room of a model in use waits for it; new
  requests for that model wait behind the load, so that constant traffic starves nobody.
- Bytes are known before a load, so a load is admitted or refused, never tried until it breaks.
- Two requests for one cold model load it once; loads of different models run side by side.
- A failed load is remembered for a while with its reason.
"""

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Callable, Collection, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

import structlog

from engine.errors import EngineError, ModelInvalid, ModelLoading, ModelTooLarge, OutOfMemory
from engine.eviction import Resident, plan_eviction
from engine.protocol import ModelRef

M = TypeVar("M")

COOL_DOWN = 30.0
"""Seconds for which a failed load is not tried again unless asked for."""

RETRY_AFTER = 2.0


@dataclass(frozen=True, slots=True)
class LoadPlan(Generic[M]):
    """A model that could be loaded, and what it would take."""

    bytes: int
    load: Callable[[], M]
    """Blocks."""


@dataclass(eq=False, slots=True)
class Entry(Generic[M]):
    """A model that is resident, on its way there, or failed to get there."""

    ref: ModelRef
    last_used: float
    bytes: int = 0
    """Counted against the budget; 0 until the room is there."""
    model: M | None = None
    failure: EngineError | None = None
    retry_at: float = 0.0
    in_use: int = 0
    """Requests that use the model or wait for it to load."""
    pinned: bool = False
    leaving: bool = False
    """To be evicted as soon as nobody uses it; takes nobody new."""
    loading: "asyncio.Task[None] | None" = None

    @property
    def state(self) -> Literal["loading", "resident", "failed"]:
        """As the wire names it."""
        return "failed" if self.failure else "resident" if self.model is not None else "loading"


def _key(ref: ModelRef) -> Hashable:
    return ref.id, ref.source, ref.revision, ref.dtype


class Residency(Generic[M]):
    """The models of one node. Lives on one event loop; every load has a thread."""

    def __init__(
        self,
        *,
        budget: int,
        plan: Callable[[ModelRef], LoadPlan[M]],
        discarded: Callable[[], None] = lambda: None,
        on_load: Callable[[str], None] = lambda _: None,
        on_evict: Callable[[], None] = lambda: None,
        patience: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = budget
        self._plan = plan
        self._discarded = discarded
        self._on_load = on_load
        self._on_evict = on_evict
        self._patience = patience
        self._clock = clock
        self._entries: dict[Hashable, Entry[M]] = {}
        self._moved = asyncio.Event()
        self._room = asyncio.Lock()

    @property
    def used(self) -> int:
        """Bytes that resident models take and loading ones have been given."""
        return sum(entry.bytes for entry in self._entries.values())

    @property
    def entries(self) -> Collection[Entry[M]]:
        """Resident, loading and failed models."""
        return self._entries.values()

    @asynccontextmanager
    async def acquire(self, ref: ModelRef) -> AsyncIterator[M]:
        """Use a model; it is loaded if need be and stays until the block ends."""
        entry: Entry[M] | None = None
        try:
            try:
                async with asyncio.timeout(self._patience):
                    entry = await self._enter(ref)
                    model = await self._loaded(entry)
            except TimeoutError:
                raise ModelLoading(
                    f"The model {ref.id} is still loading. Try again.", retry_after=RETRY_AFTER
                ) from None
            yield model
        finally:
            if entry is not None:
                entry.in_use -= 1
                entry.last_used = self._clock()
                self._announce()

    async def unload(self, ref: ModelRef) -> None:
        """Evict a model once nobody uses it, and forget a failure. Requests that come meanwhile load it again."""
        entry = self._entries.get(_key(ref))
        if entry is None:
            return
        entry.leaving = True
        while entry.in_use or entry.state == "loading":
            await self._moved.wait()
        self._evict(entry)

    def forget_failure(self, ref: ModelRef) -> None:
        """Let the next use of a model try to load it at once."""
        entry = self._entries.get(_key(ref))
        if entry is not None and entry.failure is not None:
            entry.retry_at = self._clock()

    async def close(self) -> None:
        """Give up the loads under way and let go of every model."""
        tasks = [entry.loading for entry in self._entries.values() if entry.loading is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._entries.clear()

    async def _enter(self, ref: ModelRef) -> Entry[M]:
        """Count a user of the model's entry, whatever its state."""
        key = _key(ref)
        while (entry := self._entries.get(key)) is not None and entry.leaving:
            await self._moved.wait()
        if entry is None or (entry.failure is not None and self._clock() >= entry.retry_at):
            entry = self._entries[key] = Entry(ref, last_used=self._clock())
            entry.loading = asyncio.create_task(self._load(entry))
        entry.pinned = ref.pinned
        entry.in_use += 1
        return entry

    async def _loaded(self, entry: Entry[M]) -> M:
        if entry.loading is not None:
            await asyncio.shield(entry.loading)
        if entry.failure is not None:
            raise copy.copy(entry.failure)
        assert entry.model is not None, "a load that ended without a model has a failure"  # noqa: S101
        return entry.model

    async def _load(self, entry: Entry[M]) -> None:
        loop = asyncio.get_running_loop()
        log = structlog.get_logger().bind(model=entry.ref.id)
        started = self._clock()
        # A thread of its own that ends with the load: threads that once ran parallel work keep their OpenMP pools, and
        # those slow down the pools of the threads that run models.
        loader = ThreadPoolExecutor(1, "load")
        try:
            plan = await loop.run_in_executor(loader, self._plan, entry.ref)
            async with self._room:
                await self._make_room(entry, plan.bytes)
                entry.bytes = plan.bytes
            entry.model = await loop.run_in_executor(loader, plan.load)
            log.info("model_loaded", bytes=entry.bytes, seconds=round(self._clock() - started, 3))
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
            loader.shutdown(wait=False)
            entry.loading = None
            self._on_load(entry.state)
            self._announce()

    def _fail(self, entry: Entry[M], error: EngineError) -> None:
        entry.bytes = 0
        entry.failure = error
        entry.retry_at = self._clock() + (error.retry_after or COOL_DOWN)

    async def _make_room(self, entry: Entry[M], needed: int) -> None:
        """Evict until `needed` bytes are free, waiting for models in use. First come, first served."""
        condemned: list[Entry[M]] = []
        try:
            while (victims := plan_eviction(self._residents(), needed, self._available(entry, needed))) is None:
                # Those that would go if nobody used them take nobody new from now on.
                idle = [replace(resident, busy=False) for resident in self._residents() if self._is_resident(resident)]
                loading = [resident for resident in self._residents() if not self._is_resident(resident)]
                for resident in plan_eviction([*idle, *loading], needed, self.budget) or ():
                    if not (victim := self._entries[resident.key]).leaving:
                        victim.leaving = True
                        condemned.append(victim)
                await self._moved.wait()
            for resident in victims:
                self._evict(self._entries[resident.key])
        finally:
            for spared in condemned:
                spared.leaving = False
            self._announce()

    def _available(self, entry: Entry[M], needed: int) -> int:
        """The budget. Raises where it could never hold the model beside the pinned ones."""
        pinned = sum(other.bytes for other in self._entries.values() if other.pinned and other is not entry)
        if needed > self.budget - pinned:
            beside = f", of which pinned models hold {pinned}" if pinned else ""
            raise ModelTooLarge(
                f"The model {entry.ref.id} needs {needed} bytes; the node's memory budget is {self.budget}{beside}.",
                limit=self.budget - pinned,
                actual=needed,
            )
        return self.budget

    def _residents(self) -> list[Resident]:
        return [
            Resident(key, entry.bytes, entry.last_used, entry.in_use > 0 or entry.state == "loading", entry.pinned)
            for key, entry in self._entries.items()
            if entry.bytes
        ]

    def _is_resident(self, resident: Resident) -> bool:
        return self._entries[resident.key].state == "resident"

    def _evict(self, entry: Entry[M]) -> None:
        if self._entries.get(_key(entry.ref)) is not entry:
            return
        del self._entries[_key(entry.ref)]
        if entry.model is not None:
            entry.model = None
            self._discarded()
            self._on_evict()
            structlog.get_logger().info("model_evicted", model=entry.ref.id, bytes=entry.bytes)
        self._announce()

    def _announce(self) -> None:
        """Wake whoever waits for a model to be freed, loaded or gone."""
        self._moved.set()
        self._moved = asyncio.Event()
