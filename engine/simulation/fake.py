"""Models without weights, for the real residency and the real scheduler on virtual time.

What a model would take is declared: bytes, the seconds of a load from disk and of a return from host memory, the
seconds of a batch. What really happens is kept in a ledger that knows nothing of the residency's own books: bytes are
counted from a model's making until Python has let go of it.
"""

import asyncio
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from engine.encoded import Encoded, Row
from engine.simulation.virtual_time import VirtualWork


@dataclass(frozen=True, slots=True)
class FakeSpec:
    """What one model takes."""

    bytes: int
    load_seconds: float = 1.0
    """From disk."""
    restore_seconds: float = 0.05
    """From host memory, and as long to get there."""
    seconds_per_token: float = 1e-5
    seconds_per_batch: float = 2e-3
    number: int = 0
    """The first value of every vector, so that an answer tells whose it is."""


@dataclass(eq=False, slots=True)
class Ledger:
    """Bytes that are really held, in one memory."""

    held: int = 0
    peak: int = 0
    watch: Callable[[int], None] = lambda _: None
    """Told of every change."""

    def hold(self, owner: object, size: int) -> Callable[[], object]:
        """Count `size` until the owner is gone, or until what this returns is called."""
        self._move(size)
        free = weakref.finalize(owner, self._move, -size)
        free.atexit = False
        return free

    def _move(self, size: int) -> None:
        self.held += size
        self.peak = max(self.peak, self.held)
        self.watch(self.held)


class FakeModel:
    """A model on the device; its vectors are (number, first id, length)."""

    def __init__(self, spec: FakeSpec, machine: "FakeMachine") -> None:
        self.spec = spec
        self.on_device = True
        self._machine = machine
        self._free = machine.device.hold(self, spec.bytes)
        self._leave = weakref.finalize(self, machine.on_leave, spec)
        self._leave.atexit = False

    @property
    def bytes(self) -> int:
        """On the device."""
        return self.spec.bytes

    def pack(self, encoded: Sequence[Encoded]) -> Sequence[Encoded]:
        """As it is."""
        return encoded

    def run(self, batch: Sequence[Encoded]) -> list[Row]:
        """One vector (3,) per sequence."""
        return [
            {"dense": np.array((self.spec.number, sequence.ids[0], len(sequence)), dtype=np.float32)}
            for sequence in batch
        ]

    def to_host(self) -> "FakeHostCopy":
        """Leave the device for host memory."""
        if not self.on_device:
            raise AssertionError("A model left the device twice.")
        self._machine.work.spend(self.spec.restore_seconds, then=self._left)
        self.on_device = False
        self._leave()
        return FakeHostCopy(self.spec, self._machine)

    def _left(self) -> None:
        self._free()


class FakeHostCopy:
    """A model in host memory."""

    def __init__(self, spec: FakeSpec, machine: "FakeMachine") -> None:
        self.spec = spec
        self._machine = machine
        self._free = machine.host.hold(self, spec.bytes)

    @property
    def bytes(self) -> int:
        """In host memory."""
        return self.spec.bytes

    def to_device(self) -> FakeModel:
        """Come back; the copy is used up when nobody holds it."""
        self._machine.restores += 1
        self._machine.work.spend(self.spec.restore_seconds)
        return FakeModel(self.spec, self._machine)


class FakeMachine:
    """A device and its host: the two seams (`work` for the residency, the machine itself for the scheduler)."""

    def __init__(
        self,
        *,
        pack_seconds: float = 2e-4,
        memory_tokens: float = float("inf"),
        on_running: Callable[[int], None] = lambda _: None,
        on_leave: Callable[[FakeSpec], None] = lambda _: None,
    ) -> None:
        """`on_running` is told the number of batches under way, `on_leave` of every model that begins to leave."""
        self.work = VirtualWork()
        self.device = Ledger()
        self.host = Ledger()
        self.running = 0
        """Batches on the device now."""
        self.loads = 0
        self.restores = 0
        self.on_leave = on_leave
        self._pack_seconds = pack_seconds
        self._memory_tokens = memory_tokens
        """A batch above it runs out of memory."""
        self._on_running = on_running

    def load(self, spec: FakeSpec) -> FakeModel:
        """From disk. A blocking job: call it by `work`."""
        self.loads += 1
        self.work.spend(spec.load_seconds)
        return FakeModel(spec, self)

    async def pack(self, model: Any, encoded: Sequence[Encoded]) -> Any:
        """Prepare a batch, in `pack_seconds`."""
        await asyncio.sleep(self._pack_seconds)
        return model.pack(encoded)

    async def run(self, model: Any, packed: Any) -> Sequence[Any]:
        """Run a batch for as long as its tokens take. The model must be on the device from beginning to end."""
        tokens = sum(map(len, packed))
        self._occupy(model, 1)
        try:
            await asyncio.sleep(model.spec.seconds_per_batch + tokens * model.spec.seconds_per_token)
            if tokens > self._memory_tokens:
                raise MemoryError
            return list(model.run(packed))
        finally:
            self._occupy(model, -1)

    def _occupy(self, model: FakeModel, batches: int) -> None:
        if not model.on_device:
            raise AssertionError("A batch ran on a model that is not on the device.")
        self.running += batches
        self._on_running(self.running)


@lru_cache(maxsize=65536)
def fake_tokens(length: int, first: int = 0) -> Encoded:
    """A text of so many tokens whose first is `first`."""
    ids = np.zeros(length, dtype=np.int32)
    ids[0] = first
    return Encoded(ids)
