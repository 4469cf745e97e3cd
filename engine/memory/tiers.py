"""A model's way between disk, host memory and device, as the residency sees it."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

from engine.errors import EngineError
from engine.memory.eviction import Resident
from engine.progress import Progress
from engine.protocol import ModelRef, Tier

M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)


class HostCopy(Protocol[M_co]):
    """A model in host memory. Serves any number of returns; its memory is freed when nobody holds it."""

    @property
    def bytes(self) -> int:
        """Of host memory."""
        ...

    def to_device(self) -> M_co:
        """A model on the device. Blocks."""
        ...


@runtime_checkable
class Tiered(Protocol[M_co]):
    """A model that can leave the device for host memory."""

    def to_host(self) -> HostCopy[M_co] | None:
        """Copy the model to host memory; it is not used on the device again. Blocks."""
        ...


@runtime_checkable
class Calibrated(Protocol):
    """A model that knows what its batches take."""

    @property
    def activation(self) -> int:
        """Bytes beside the weights for all batches that run side by side, each of the full budget of tokens."""
        ...


@dataclass(frozen=True, slots=True)
class LoadPlan(Generic[M]):
    """A model that could be loaded, and what it would take."""

    bytes: int
    load: Callable[[], M]
    """Blocks."""
    activation: int = 0
    """As `Calibrated`, estimated before the load."""


Place = Literal["disk", "host", "device"]


class Move(NamedTuple):
    """A model came to a memory or left one."""

    source: Place
    target: Place
    seconds: float = 0.0


@dataclass(eq=False, slots=True)
class Entry(Generic[M]):
    """A model that is in memory, on its way there, or failed to get there."""

    ref: ModelRef
    last_used: float
    size: int = 0
    """Bytes that it takes on the device; 0 while that is not known."""
    bytes: int = 0
    """Counted against the device's budget; 0 until the room is there."""
    activation: int = 0
    model: M | None = None
    host: HostCopy[M] | None = None
    """Kept while the model is on the device too, as long as the room is not needed: so leaving again costs nothing."""
    host_bytes: int = 0
    """Counted against the host's budget."""
    failure: EngineError | None = None
    retry_at: float = 0.0
    in_use: int = 0
    """Requests that use the model or wait for it to load."""
    pinned: bool = False
    condemned: int = 0
    """Who want it gone as soon as nobody uses it; while there is any it takes nobody new."""
    loading: "asyncio.Task[None] | None" = None
    began: float = 0.0
    """When the last load did."""
    progress: Progress = field(default_factory=Progress)
    """Of the last load."""
    leaving: "asyncio.Task[None] | None" = None
    uses: int = 0
    reload_seconds: float = 0.0
    credit: float = 0.0

    @property
    def key(self) -> Hashable:
        """What tells it from other models."""
        return key_of(self.ref)

    @property
    def tier(self) -> Tier:
        """Where it is. While it leaves the device it still is there."""
        if self.failure is not None:
            return "failed"
        if self.loading is not None:
            return "loading"
        return "device" if self.bytes else "host"

    @property
    def state(self) -> Literal["loading", "resident", "failed"]:
        """Whether it can run at once; what is in host memory has to come back first."""
        match self.tier:
            case "device":
                return "resident"
            case "failed":
                return "failed"
            case _:
                return "loading"

    @property
    def settled(self) -> bool:
        """On the device, not on its way to or from there."""
        return self.model is not None and self.loading is None and self.leaving is None

    @property
    def evictable(self) -> bool:
        """May leave the device now, pinned or not."""
        return self.settled and not self.in_use

    def on_device(self, *, busy: bool) -> Resident:
        """The facts for an eviction from the device."""
        return Resident(
            self.key,
            self.bytes,
            self.last_used,
            busy,
            self.pinned,
            self.uses,
            self.reload_seconds,
            self.credit,
            self.activation,
        )

    def in_host(self) -> Resident:
        """The facts for an eviction from host memory: what is on the device as well goes first, then by last use."""
        worth = self.last_used if self.model is None else float("-inf")
        return Resident(self.key, self.host_bytes, worth, busy=bool(self.loading or self.leaving))


def key_of(ref: ModelRef) -> Hashable:
    """Two references with one key are one model."""
    return ref.id, ref.source, ref.revision, ref.dtype, ref.adapter
