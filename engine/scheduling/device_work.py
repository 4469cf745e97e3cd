"""The seam between the scheduler and what it waits for: threads on a real device, timers on a virtual clock."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from engine.encoded import Encoded
from engine.scheduling.waiting import Model, Row


class DeviceWork(Protocol):
    """Runs what the scheduler decided. Called on the scheduler's loop."""

    async def pack(self, model: Model, encoded: Sequence[Encoded]) -> Any:
        """Prepare a batch, beside those that run."""
        ...

    async def run(self, model: Model, packed: Any) -> Sequence[Row]:
        """One row per sequence. Raises torch.OutOfMemoryError or MemoryError where a smaller batch may fit."""
        ...


class ThreadedDevice:
    """A thread for each worker, and one that packs."""

    def __init__(self, workers: int = 1) -> None:
        self._packing = ThreadPoolExecutor(1, "prepare")
        self._running = ThreadPoolExecutor(workers, "device")

    async def pack(self, model: Model, encoded: Sequence[Encoded]) -> Any:
        """In the packing thread."""
        return await asyncio.get_running_loop().run_in_executor(self._packing, model.pack, encoded)

    async def run(self, model: Model, packed: Any) -> Sequence[Row]:
        """In a worker's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._running, model.run, packed)

    def close(self) -> None:
        """End the threads, once they have nothing to do."""
        self._packing.shutdown()
        self._running.shutdown()
