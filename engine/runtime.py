"""The node's story: acquire the model, tokenize, schedule, finish the vectors, reply."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import numpy as np

from engine.asking import Claim, claim_of, prompted, retrieval_prompts, width_of
from engine.device import Device, give_back_memory, open_device
from engine.device_work import ThreadedDevice
from engine.errors import BadRequest, DeadlinePassed, Draining
from engine.eviction import POLICIES
from engine.heads.vectors import Vectors, cosine, narrow, stacked
from engine.loaded import LoadedModel
from engine.loading import plan_load
from engine.metrics import EngineMetrics
from engine.out_of_memory import Step
from engine.protocol import (
    PROTOCOL_VERSION,
    EmbedReply,
    EmbedRequest,
    ModelRef,
    NodeStatus,
    RerankReply,
    RerankRequest,
    Timings,
)
from engine.residency import Residency
from engine.scheduler import Scheduler
from engine.settings import EngineSettings
from engine.status import node_version, resident
from engine.work import threads

RETRY_AFTER_DRAIN = 1.0


@asynccontextmanager
async def open_runtime(settings: EngineSettings) -> AsyncIterator["Runtime"]:
    """A node, ready to serve; closed with all its threads at the end of the block."""
    device = open_device(settings)
    metrics = EngineMetrics()
    work = ThreadedDevice(device.workers)
    residency = Residency(
        budget=device.memory_budget,
        host_budget=device.host_budget,
        total=device.memory_total,
        plan=lambda ref: plan_load(ref, device),
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
        residency: Residency[LoadedModel],
        scheduler: Scheduler,
        metrics: EngineMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self._device = device
        self._residency = residency
        self._scheduler = scheduler
        self._clock = clock
        self._tokenizing = ThreadPoolExecutor(1, "tokenize")
        self._draining = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        metrics.watch(self.status)

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """One vector per input."""
        if not request.inputs:
            raise BadRequest("There is nothing to embed: the list of inputs is empty.")
        with self._taking():
            started = self._clock()
            claim = claim_of(request, started)
            async with self._residency.acquire(request.model, patience=claim.patience) as model:
                loaded = self._clock()
                width = width_of(model.spec, request.dimensions)
                texts = prompted(model.spec.default_prompt, request.inputs)
                vectors, counts, truncated, timings = await self._vectors(
                    model, request.model, texts, request.truncate, claim
                )
                vectors = narrow(vectors, width, renormalize=model.spec.normalize)
        return EmbedReply(
            dimensions=width,
            vectors=np.ascontiguousarray(vectors, dtype="<f4").tobytes(),
            token_counts=counts,
            truncated=truncated,
            timings=Timings(loaded - started, *timings),
        )

    async def rerank(self, request: RerankRequest) -> RerankReply:
        """One score per document: the cosine of its vector with the query's."""
        if not request.documents:
            raise BadRequest("There is nothing to rank: the list of documents is empty.")
        with self._taking():
            started = self._clock()
            claim = claim_of(request, started)
            async with self._residency.acquire(request.model, patience=claim.patience) as model:
                loaded = self._clock()
                query_prompt, document_prompt = retrieval_prompts(model.spec)
                texts = [query_prompt + request.query, *prompted(document_prompt, request.documents)]
                try:
                    vectors, counts, truncated, timings = await self._vectors(
                        model, request.model, texts, request.truncate, claim
                    )
                except BadRequest as error:
                    error.index = error.index - 1 if error.index is not None else None
                    raise
        return RerankReply(
            scores=cosine(vectors[:1], vectors[1:]).tolist(),
            tokens=sum(counts),
            truncated=[index - 1 for index in truncated],
            timings=Timings(loaded - started, *timings),
        )

    async def load(self, ref: ModelRef) -> NodeStatus:
        """Bring a model into memory, trying again what failed before."""
        with self._taking():
            await self._residency.load(ref)
        return self.status()

    async def unload(self, ref: ModelRef) -> NodeStatus:
        """Take a model out of all memory once nobody uses it."""
        await self._residency.unload(ref)
        return self.status()

    async def pin(self, ref: ModelRef) -> NodeStatus:
        """Keep a model on the device, bringing it there if need be."""
        with self._taking():
            await self._residency.pin(ref, True)
        return self.status()

    async def unpin(self, ref: ModelRef) -> NodeStatus:
        """Let a model be evicted again."""
        await self._residency.pin(ref, False)
        return self.status()

    def status(self) -> NodeStatus:
        """What a gateway must know to route here."""
        now = self._clock()
        return NodeStatus(
            protocol=PROTOCOL_VERSION,
            version=node_version(),
            device=self._device.name,
            ready=not self._draining,
            memory_budget=self._residency.budget,
            memory_used=self._residency.used,
            waiting_requests=self._scheduler.waiting_requests,
            waiting_tokens=self._scheduler.waiting_tokens,
            tokens_per_second=self._scheduler.tokens_per_second,
            models=[resident(entry, now) for entry in self._residency.entries],
            host_budget=self._residency.host_budget,
            host_used=self._residency.host_used,
            bulk_waiting_tokens=self._scheduler.bulk_waiting_tokens,
        )

    async def drain(self) -> None:
        """Take nothing new, and return when all that was taken is answered."""
        self._draining = True
        await self._idle.wait()

    async def close(self) -> None:
        """End all threads; what is not answered by now is refused."""
        self._draining = True
        await self._scheduler.close()
        await self._residency.close()
        self._tokenizing.shutdown()

    async def _vectors(
        self, model: LoadedModel, ref: ModelRef, texts: Sequence[str], truncate: bool, claim: Claim
    ) -> tuple[Vectors, list[int], list[int], tuple[float, float, float]]:
        """Vectors (B, H), token counts, indices of the cut texts, and seconds of tokenizing, queueing and inference."""
        self._scheduler.admit(len(texts), claim.lane)
        started = self._clock()
        limit = min(ref.max_tokens or model.spec.max_tokens, model.spec.max_tokens)
        tokenized = await model.tokenizer.encode(texts, limit=limit, truncate=truncate, executor=self._tokenizing)
        tokenizing = self._clock() - started
        try:
            ran = await self._scheduler.run(
                model,
                tokenized.encoded,
                flow=claim.flow,
                weight=claim.weight,
                lane=claim.lane,
                deadline=claim.deadline,
            )
        except DeadlinePassed:
            self.metrics.deadline_drops.labels(claim.lane).inc()
            raise
        self.metrics.wait_seconds.labels(claim.lane).observe(ran.queued)
        counts = list(map(len, tokenized.encoded))
        return stacked(ran.rows), counts, tokenized.truncated, (tokenizing, ran.queued, ran.inference)

    @contextmanager
    def _taking(self) -> Iterator[None]:
        """Count a call in flight; refuse it while the node drains."""
        if self._draining:
            raise Draining("This node is stopping and takes nothing new.", retry_after=RETRY_AFTER_DRAIN)
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if self._in_flight == 0:
                self._idle.set()
