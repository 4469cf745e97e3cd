"""The node's story: acquire the model, tokenize, schedule, finish the vectors, reply."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from engine.catalog import ModelSpec, describe
from engine.device import Device, give_back_memory, open_device
from engine.device_work import ThreadedDevice
from engine.embedder import Embedder, load_embedder
from engine.errors import BadRequest, DimensionsUnsupported, Draining
from engine.heads.vectors import Vectors, cosine, narrow
from engine.metrics import EngineMetrics
from engine.protocol import (
    PROTOCOL_VERSION,
    EmbedReply,
    EmbedRequest,
    ModelRef,
    NodeStatus,
    RerankReply,
    RerankRequest,
    ResidentModel,
    Timings,
)
from engine.residency import Entry, LoadPlan, Residency
from engine.scheduler import Scheduler
from engine.settings import EngineSettings
from engine.source import resolve

RETRY_AFTER_DRAIN = 1.0
DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""The first that a model has (sentence-transformers, `encode_document`)."""


@asynccontextmanager
async def open_runtime(settings: EngineSettings) -> AsyncIterator["Runtime"]:
    """A node, ready to serve; closed with all its threads at the end of the block."""
    device = open_device(settings)
    metrics = EngineMetrics()
    work = ThreadedDevice(device.workers)
    runtime = Runtime(
        device=device,
        settings=settings,
        residency=Residency(
            budget=device.memory_budget,
            plan=lambda ref: plan_load(ref, device),
            discarded=lambda: give_back_memory(device),
            on_load=lambda outcome: metrics.loads.labels(outcome).inc(),
            on_evict=metrics.evictions.inc,
            patience=settings.load_patience,
        ),
        scheduler=Scheduler(
            work=work,
            batch_tokens=device.batch_tokens,
            workers=device.workers,
            max_waiting_tokens=settings.max_waiting_tokens,
            on_batch=metrics.observe_batch,
        ),
        metrics=metrics,
    )
    try:
        yield runtime
    finally:
        await runtime.close()
        work.close()


def plan_load(ref: ModelRef, device: Device) -> LoadPlan[Embedder]:
    """Find a model, read what it is, and how many bytes it will take. Blocks, and may download."""
    spec = describe(resolve(ref.source, ref.revision))
    dtype = device.dtype(ref.dtype)
    return LoadPlan(spec.resident_bytes(dtype.itemsize), lambda: load_embedder(spec, device, dtype))


class Runtime:
    """One node: its device, its models, its queue."""

    def __init__(
        self,
        *,
        device: Device,
        settings: EngineSettings,
        residency: Residency[Embedder],
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
            async with self._residency.acquire(request.model) as model:
                loaded = self._clock()
                width = _width(model.spec, request.dimensions)
                texts = _prompted(model.spec.default_prompt, request.inputs)
                vectors, counts, truncated, timings = await self._vectors(model, request.model, texts, request.truncate)
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
            async with self._residency.acquire(request.model) as model:
                loaded = self._clock()
                query_prompt, document_prompt = _retrieval_prompts(model.spec)
                texts = [query_prompt + request.query, *_prompted(document_prompt, request.documents)]
                try:
                    vectors, counts, truncated, timings = await self._vectors(
                        model, request.model, texts, request.truncate
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
            self._residency.forget_failure(ref)
            async with self._residency.acquire(ref):
                pass
        return self.status()

    async def unload(self, ref: ModelRef) -> NodeStatus:
        """Take a model out of memory once nobody uses it."""
        await self._residency.unload(ref)
        return self.status()

    def status(self) -> NodeStatus:
        """What a gateway must know to route here."""
        now = self._clock()
        return NodeStatus(
            protocol=PROTOCOL_VERSION,
            version=_version(),
            device=self._device.name,
            ready=not self._draining,
            memory_budget=self._residency.budget,
            memory_used=self._residency.used,
            waiting_requests=self._scheduler.waiting_requests,
            waiting_tokens=self._scheduler.waiting_tokens,
            tokens_per_second=self._scheduler.tokens_per_second,
            models=[_resident(entry, now) for entry in self._residency.entries],
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
        self, model: Embedder, ref: ModelRef, texts: Sequence[str], truncate: bool
    ) -> tuple[Vectors, list[int], list[int], tuple[float, float, float]]:
        """Vectors (B, H), token counts, indices of the cut texts, and seconds of tokenizing, queueing and inference."""
        self._scheduler.admit(len(texts))
        started = self._clock()
        limit = min(ref.max_tokens or model.spec.max_tokens, model.spec.max_tokens)
        tokenized = await model.tokenizer.encode(texts, limit=limit, truncate=truncate, executor=self._tokenizing)
        tokenizing = self._clock() - started
        ran = await self._scheduler.run(model, tokenized.token_ids)
        counts = [len(ids) for ids in tokenized.token_ids]
        return ran.vectors, counts, tokenized.truncated, (tokenizing, ran.queued, ran.inference)

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


def _width(spec: ModelSpec, dimensions: int | None) -> int:
    if dimensions is None or dimensions == spec.dimensions:
        return spec.dimensions
    if dimensions in spec.matryoshka:
        return dimensions
    trained = f"trained for {_widths(spec.matryoshka)}" if spec.matryoshka else "not trained to be cut"
    raise DimensionsUnsupported(
        f"The model gives {spec.dimensions} dimensions and is {trained}; {dimensions} were asked for.",
        limit=spec.dimensions,
        actual=dimensions,
    )


def _widths(widths: Sequence[int]) -> str:
    consecutive = len(widths) > 2 and widths[-1] - widths[0] == len(widths) - 1
    return f"{widths[0]} to {widths[-1]}" if consecutive else ", ".join(map(str, widths))


def _prompted(prompt: str, texts: list[str]) -> list[str]:
    return [prompt + text for text in texts] if prompt else texts


def _retrieval_prompts(spec: ModelSpec) -> tuple[str, str]:
    """The prompts that sentence-transformers' `encode_query` and `encode_document` put before a text."""
    document = next((spec.prompts[name] for name in DOCUMENT_PROMPTS if name in spec.prompts), spec.default_prompt)
    return spec.prompts.get("query", spec.default_prompt), document


def _resident(entry: Entry[Embedder], now: float) -> ResidentModel:
    spec = entry.model.spec if entry.model is not None else None
    return ResidentModel(
        id=entry.ref.id,
        revision=entry.ref.revision,
        state=entry.state,
        bytes=entry.bytes,
        in_use=entry.in_use,
        pinned=entry.pinned,
        idle_seconds=0.0 if entry.in_use else max(0.0, now - entry.last_used),
        dimensions=spec.dimensions if spec else None,
        max_tokens=spec.max_tokens if spec else None,
        failure=entry.failure.message if entry.failure else None,
    )


def _version() -> str:
    try:
        return version("shoal-server")
    except PackageNotFoundError:
        return "unreleased"
