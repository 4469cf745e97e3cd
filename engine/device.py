"""The one device of a node: which, how much memory, what batch is fast on it, how the host's allocator behaves."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.errors import EngineError
from engine.settings import EngineSettings

BUDGET_SHARE = 0.8
"""Of the free memory at start; the rest is for activations and the host."""

HOST_SHARE = 0.5
"""Of the host's free memory at start, for models that left a CUDA device. On the CPU a model on the device is in host
memory already, and a copy beside it gains little over reading its file again: none, unless asked for."""

BATCH_TOKENS = {"cpu": 512, "cuda": 16_384}
"""On the CPU more gains nothing and delays everybody; on CUDA the matrix products are saturated."""

CPU_WORKERS = 4
"""Batches side by side on the CPU at most. A batch per core beats all cores on one batch: threads that share one meet
at a barrier after every step, and spin there whenever one of them loses its core to another process (measured on two
cores: 15 % faster alone on the machine, many times faster beside other work)."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Of mallopt(3)."""
KEPT_BYTES = 32 * 1024 * 1024
"""glibc's greatest threshold for mmap."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where a node's models live and run."""

    place: torch.device
    name: str
    memory_budget: int
    """Bytes that resident models may take together."""
    batch_tokens: int
    workers: int
    """Batches that run side by side."""
    memory_total: int
    """Bytes that models and the batches under way may take together."""
    host_budget: int
    """Bytes of host memory for models that left the device."""
    copies: torch.cuda.Stream | None
    """Where models are copied from and to the host, beside the batches; None on the CPU."""

    @property
    def on_cuda(self) -> bool:
        """Whether its memory is another than the host's."""
        return self.place.type == "cuda"

    def dtype(self, wanted: str | None) -> torch.dtype:
        """The type to hold a model's weights in: as its register says, else what is good on the device."""
        default = "bfloat16" if self.place.type == "cuda" else "float32"
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted or default]


def open_device(settings: EngineSettings) -> Device:
    """Choose the device and set the process up for it."""
    device = _choose(settings.device)
    threads = settings.threads or torch.get_num_threads()
    workers = min(threads, CPU_WORKERS) if device.type == "cpu" else 1
    if device.type == "cpu":
        torch.set_num_threads(threads // workers)
        _keep_freed_memory()
    free = _free_memory(device)
    budget = settings.memory_budget or int(BUDGET_SHARE * free)
    on_cuda = device.type == "cuda"
    default_host_budget = int(HOST_SHARE * min(_host_limits())) if on_cuda else 0
    return Device(
        place=device,
        name=torch.cuda.get_device_name(device) if on_cuda else f"cpu ({threads} threads)",
        memory_budget=budget,
        batch_tokens=settings.max_batch_tokens or BATCH_TOKENS[device.type],
        workers=workers,
        memory_total=max(free, budget),
        host_budget=default_host_budget if settings.host_budget is None else settings.host_budget,
        copies=torch.cuda.Stream(device) if on_cuda else None,  # type: ignore[no-untyped-call]
    )


def give_back_memory(device: Device) -> None:
    """Return freed memory to the driver or the system, after a load or an eviction."""
    if device.place.type == "cuda":
        torch.cuda.empty_cache()
    elif (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _choose(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    with suppress(RuntimeError):
        device = torch.device(wanted)
        if device.type == "cpu" or (device.type == "cuda" and (device.index or 0) < torch.cuda.device_count()):
            return device
    raise EngineError(f"There is no device {wanted!r} on this machine. Known: auto, cpu, cuda:N.")


def _keep_freed_memory() -> None:
    """Let a freed activation be the next one's memory.

    glibc maps big blocks anew at each allocation and the kernel then zeroes them page by page, which costs a fifth of
    the throughput (measured at 1,024 tokens, width 384).
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, 8 * KEPT_BYTES)
        libc.mallopt(M_ARENA_MAX, 1)  # one heap, else every thread keeps that much


def _glibc() -> ctypes.CDLL | None:
    with suppress(OSError):
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt"):
            return libc
    return None


def _free_memory(device: torch.device) -> int:
    """Bytes free on the device; for the CPU no more than the control group (a container's limit) leaves."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(_host_limits())


def _host_limits() -> Iterator[int]:
    yield os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):
        yield int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
