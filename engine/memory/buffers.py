"""Flat memory for a model's weights, and the one copy that moves them between host and device.

Memory on the host is mapped by itself, not asked of an allocator: it takes the bytes it says, and gives them all back
to the system at once. On CUDA it is registered with the driver (pinned), so that the device copies from and to it at
full speed beside its work; the registering, unlike torch's pinned allocator, rounds nothing up.
"""

import mmap
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.device import Device


class HostBuffer:
    """Host memory that a device copies from. Freed, and unpinned before, when nobody holds it."""

    def __init__(self, size: int, device: Device) -> None:
        self.flat = map_memory(size)
        """(size,) uint8."""
        if device.place.type == "cuda":
            _pin(self.flat, device.place)
            weakref.finalize(self, _unpin, self.flat.data_ptr(), device.place).atexit = False


def map_memory(size: int) -> Tensor:
    """(size,) uint8 of fresh memory. `MemoryError` where the system has none."""
    try:
        mapped = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, ValueError, OverflowError) as error:
        raise MemoryError(f"The system does not give {size} bytes.") from error
    with suppress(OSError, AttributeError):  # pages of 2 MiB where the kernel has them: 512 times fewer faults
        mapped.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(mapped, dtype=torch.uint8)


def device_memory(size: int, device: Device) -> Tensor:
    """(size,) uint8 where the device's models live."""
    if device.copies is None:
        return map_memory(size)
    with torch.cuda.stream(device.copies):
        return torch.empty(size, dtype=torch.uint8, device=device.place)


@contextmanager
def to_device(buffer: HostBuffer, device: Device) -> Iterator[Tensor]:
    """The buffer's bytes on the device, from host memory by one copy. They are all there when the block ends."""
    flat = device_memory(len(buffer.flat), device)
    with _copying(buffer.flat, flat, device):
        yield flat


def to_host(flat: Tensor, device: Device) -> HostBuffer:
    """The device's bytes in host memory."""
    buffer = HostBuffer(len(flat), device)
    with _copying(flat, buffer.flat, device):
        pass
    return buffer


@contextmanager
def _copying(source: Tensor, target: Tensor, device: Device) -> Iterator[None]:
    if device.copies is None:
        np.copyto(target.numpy(), source.numpy())  # a third faster than torch's copy (measured), and off the GIL too
        yield
        return
    # A stream of its own, on which the target was allocated too: nothing of the batches under way is waited for.
    done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(device.copies):
        target.copy_(source, non_blocking=True)
        done.record()
    yield
    done.synchronize()


def _pin(flat: Tensor, place: torch.device) -> None:
    with torch.cuda.device(place):
        code = int(_driver().cudaHostRegister(flat.data_ptr(), len(flat), 0))
    if code:
        raise MemoryError(f"The driver does not pin {len(flat)} bytes of host memory (error {code}).")


def _unpin(address: int, place: torch.device) -> None:
    with torch.cuda.device(place):
        _driver().cudaHostUnregister(address)


def _driver() -> Any:
    return torch.cuda.cudart()  # type: ignore[no-untyped-call]
