"""A node: opens its device, memory and queue, hands every request to its task, and says how it is."""

import secrets
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from engine.device import Device, give_back_memory, open_device
from engine.loading.plan import plan_load
from engine.memory.eviction import POLICIES
from engine.metrics import EngineMetrics
from engine.protocol import (
    OLDEST_PROTOCOL,
    PROTOCOL_VERSION,
    ClassifyReply,
    ClassifyRequest,
    EmbedReply,
    EmbedRequest,
    ExtractReply,
    ExtractRequest,
    ModelRef,
    NodeStatus,
    RerankReply,
    RerankRequest,
    TokenizeReply,
    TokenizeRequest,
)
from engine.residency import Residency
from engine.scheduler import Scheduler
from engine.scheduling.device_work import ThreadedDevice
from engine.scheduling.out_of_memory import Step
from engine.settings import EngineSettings
from engine.status import node_version, resident
from engine.tasks.classify import classify
from engine.tasks.embed import embed
from engine.tasks.extract import extract
from engine.tasks.rerank import rerank
from engine.tasks.running import Running
from engine.tasks.tokenize import tokenize
from engine.tasks.using import Loaded, base_of
from engine.tracing import NO_SPANS, NodeTracing
from engine.work import threads


@asynccontextmanager
async def open_runtime(settings: EngineSettings, tracing: NodeTracing | None = None) -> AsyncIterator["Runtime"]:
    """A node, ready to serve; closed with all its threads at the end of the block."""
    device = open_device(settings)
    metrics = EngineMetrics()
    work = ThreadedDevice(device.workers)
    residency = Residency(
        budget=device.memory_budget,
        host_budget=device.host_budget,
        total=device.memory_total,
        plan=lambda ref, progress: plan_load(ref, device, progress),
        policy=POLICIES[settings.eviction],
        idle_timeout=settings.idle_timeout,
        load_timeout=settings.load_timeout,
        patience=settings.load_patience,
        discarded=lambda: give_back_memory(device),
        on_load=lambda outcome: metrics.loads.labels(outcome).inc(),
        on_evict=metrics.evictions.inc,
        on_move=metrics.observe_move,
    )

    async def free_memory(model: Any, step: int) -> bool:
        if step == Step.EVICT_SIBLING:
            return await residency.evict_sibling(model)
        await threads(lambda: give_back_memory(device))
        return True

    runtime = Runtime(
        device=device,
        settings=settings,
        residency=residency,
        scheduler=Scheduler(
            work=work,
            batch_tokens=device.batch_tokens,
            workers=device.workers,
            max_waiting_tokens=settings.max_waiting_tokens,
            bulk_share=settings.bulk_share,
            clock=time.monotonic,
            on_batch=metrics.observe_batch,
            free_memory=free_memory,
            on_step=lambda step: metrics.memory_steps.labels(step.name.lower()).inc(),
        ),
        metrics=metrics,
        tracing=tracing,
    )
    try:
        yield runtime
    finally:
        await runtime.close()
        work.close()


class Runtime:
    """One node: its device, its models, its queue."""

    def __init__(
        self,
        *,
        device: Device,
        settings: EngineSettings,
        residency: Residency[Loaded],
        scheduler: Scheduler,
        metrics: EngineMetrics,
        tracing: NodeTracing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.tracing = tracing
        self._instance = secrets.token_hex(8)
        self._device = device
        self._residency = residency
        self._scheduler = scheduler
        self._tokenizing = ThreadPoolExecutor(1, "tokenize")
        self._running = Running(
            residency=residency, scheduler=scheduler, metrics=metrics, tokenizing=self._tokenizing, clock=clock
        )
        spans = (lambda: NO_SPANS) if tracing is None else (lambda: tracing.spans)
        metrics.watch(self.status, lambda: scheduler.oldest_waiting, spans)
        metrics.tell_build(node_version(), device.name)

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """One vector per input."""
        return await embed(self._running, request)

    async def rerank(self, request: RerankRequest) -> RerankReply:
        """One score per document."""
        return await rerank(self._running, request)

    async def classify(self, request: ClassifyRequest) -> ClassifyReply:
        """Labels and their scores for each input."""
        return await classify(self._running, request)

    async def extract(self, request: ExtractRequest) -> ExtractReply:
        """The spans of each input that labels fit."""
        return await extract(self._running, request)

    async def tokenize(self, request: TokenizeRequest) -> TokenizeReply:
        """The tokens of each input."""
        return await tokenize(self._running, request)

    async def load(self, ref: ModelRef) -> NodeStatus:
        """Bring a model into memory, trying again what failed before."""
        with self._running.taking():
            for each in dict.fromkeys((base_of(ref), ref)):
                await self._residency.load(each)
        return self.status()

    async def unload(self, ref: ModelRef) -> NodeStatus:
        """Take a model out of all memory once nobody uses it."""
        await self._residency.unload(ref)
        return self.status()

    async def pin(self, ref: ModelRef) -> NodeStatus:
        """Keep a model on the device, bringing it there if need be."""
        with self._running.taking():
            await self._residency.pin(ref, True)
        return self.status()

    async def unpin(self, ref: ModelRef) -> NodeStatus:
        """Let a model be evicted again."""
        await self._residency.pin(ref, False)
        return self.status()

    @property
    def draining(self) -> bool:
        """Nothing new is taken."""
        return self._running.draining

    def status(self) -> NodeStatus:
        """What a gateway must know to route here."""
        now = self._running.clock()
        return NodeStatus(
            protocol=PROTOCOL_VERSION,
            version=node_version(),
            device=self._device.name,
            ready=not self._running.draining,
            memory_budget=self._residency.budget,
            memory_used=self._residency.used,
            waiting_requests=self._scheduler.waiting_requests,
            waiting_tokens=self._scheduler.waiting_tokens,
            tokens_per_second=self._scheduler.tokens_per_second,
            models=[resident(entry, now) for entry in self._residency.entries],
            host_budget=self._residency.host_budget,
            host_used=self._residency.host_used,
            bulk_waiting_tokens=self._scheduler.bulk_waiting_tokens,
            oldest_protocol=OLDEST_PROTOCOL,
            instance=self._instance,
        )

    async def drain(self) -> None:
        """Take nothing new, and return when all that was taken is answered."""
        await self._running.drain()

    async def close(self) -> None:
        """End all threads; what is not answered by now is refused."""
        self._running.refuse()
        await self._scheduler.close()
        await self._residency.close()
        self._tokenizing.shutdown()
