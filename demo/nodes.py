"""The demo's nodes. They speak the engine's protocol and answer as fakes do; what they say of devices is made up."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from benchmarks.fake_engine import FakeEngine
from demo.answering import Answering
from demo.catalogue import MIB, MODELS
from engine.protocol import PROTOCOL_VERSION, Lane, LoadProgress, ModelRef, NodeStatus, ResidentModel

GIB = 1 << 30
HALF_DONE = "model.safetensors is incomplete: 301 MB of 738 MB. Download it again."


@dataclass(frozen=True, slots=True)
class Held:
    """A model that is on a node."""

    model: str
    busy: float = 0.0
    """Requests that it has at one time, on average."""
    idle: float = 0.0
    """Seconds since the last one, when the demo begins."""
    loading: bool = False
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node."""

    name: str
    pool: str
    device: str
    budget: int
    """Bytes for models."""
    rate: float
    """Tokens a second."""
    held: Sequence[Held]
    waiting: int = 0
    """Requests, on average."""
    host_budget: int = 0
    leaves: bool = False
    """It goes away soon after the demo has begun."""


HOT = (Held("BAAI/bge-m3", busy=6), Held("BAAI/bge-reranker-v2-m3", busy=2))
GPU, CPU = "cuda:0 NVIDIA L4", "cpu, 16 threads"
FLEET = (
    NodeSpec(
        "gpu-1:9000", "gpu", GPU, 14 * GIB, 96_400,
        (*HOT, Held("Qwen/Qwen3-Embedding-0.6B", busy=3), Held("Qwen/Qwen3-Reranker-0.6B", idle=21),
         Held("jinaai/jina-embeddings-v3", idle=4), Held("intfloat/multilingual-e5-large", busy=1),
         Held("Snowflake/snowflake-arctic-embed-l-v2.0", idle=340), Held("Alibaba-NLP/gte-large-en-v1.5", idle=58),
         Held("mixedbread-ai/mxbai-embed-large-v1", idle=3), Held("google/embeddinggemma-300m", idle=12),
         Held("urchade/gliner_multi-v2.1", idle=730), Held("nomic-ai/nomic-embed-text-v1.5", idle=95)),
        waiting=3, host_budget=48 * GIB,
    ),
    NodeSpec(
        "gpu-2:9000", "gpu", GPU, 14 * GIB, 91_800,
        (*HOT, Held("intfloat/multilingual-e5-large", busy=2), Held("jinaai/jina-embeddings-v3", busy=1),
         Held("Snowflake/snowflake-arctic-embed-l-v2.0", idle=9), Held("Alibaba-NLP/gte-multilingual-base", idle=44),
         Held("urchade/gliner_multi-v2.1", busy=1), Held("knowledgator/gliclass-base-v1.0", idle=16),
         Held("mixedbread-ai/mxbai-embed-large-v1", idle=610),
         Held("answerdotai/ModernBERT-reranker-large", loading=True)),
        waiting=1, host_budget=48 * GIB,
    ),
    NodeSpec(
        "gpu-3:9000", "gpu", GPU, 14 * GIB, 88_300,
        (*HOT, Held("Qwen/Qwen3-Embedding-0.6B", idle=2), Held("Qwen/Qwen3-Reranker-0.6B", idle=5),
         Held("google/embeddinggemma-300m", idle=31), Held("nomic-ai/nomic-embed-text-v1.5", idle=8)),
        host_budget=48 * GIB, leaves=True,
    ),
    NodeSpec(
        "cpu-1:9000", "cpu", CPU, 3 * GIB, 7_900,
        (Held("sentence-transformers/all-MiniLM-L6-v2", busy=2), Held("intfloat/e5-base-v2", busy=1),
         Held("cardiffnlp/twitter-roberta-sentiment", idle=26), Held("dslim/bert-base-NER", idle=7),
         Held("cross-encoder/ms-marco-MiniLM-L-12-v2", idle=190), Held("BAAI/bge-small-en-v1.5", idle=2),
         Held("MoritzLaurer/deberta-v3-base-zeroshot", failure=HALF_DONE)),
        waiting=1,
    ),
    NodeSpec(
        "cpu-2:9000", "cpu", CPU, 3 * GIB, 8_300,
        (Held("sentence-transformers/all-MiniLM-L6-v2", busy=1), Held("intfloat/e5-base-v2", busy=1),
         Held("BAAI/bge-small-en-v1.5", idle=14), Held("dslim/bert-base-NER", idle=1210)),
    ),
)  # fmt: skip


class _Named(msgspec.Struct, frozen=True):
    """What is read of any request."""

    model: ModelRef
    lane: Lane = "interactive"


class DemoNode(FakeEngine):
    """One of the fleet: what it holds changes by orders, and how busy it is with time."""

    def __init__(self, spec: NodeSpec) -> None:
        super().__init__(dimensions=max(model.dimensions or 0 for model in MODELS.values()))
        self.spec = spec
        self._held = {held.model: held for held in spec.held}
        self._began = time.monotonic()
        self._texts = Answering()
        self.gone = False
        """It breaks off whatever it is asked."""

    def answer(self, path: bytes, authorization: bytes, body: bytes) -> tuple[int, bytes, float]:
        """As every fake does; work takes as long as it would, and in the bulk lane seconds."""
        if self.gone:
            raise ConnectionAbortedError
        if path in {b"/load", b"/unload"}:
            name = msgspec.msgpack.decode(body, type=_Named).model.id
            self._held.pop(name, None)
            if path == b"/load" and name in MODELS:
                self._held[name] = Held(name)
        found = self._texts.answer(path, body)
        status, reply, delay = (200, found, 0.0) if found is not None else super().answer(path, authorization, body)
        if path == b"/embed" and msgspec.msgpack.decode(body, type=_Named).lane == "bulk":
            delay += 2.5
        return status, reply, delay

    def status(self) -> NodeStatus:
        """As of now."""
        now, spec = time.monotonic() - self._began, self.spec
        models = [self._resident(held, now, place) for place, held in enumerate(self._held.values())]
        waiting = _about(spec.waiting, now / 2)
        return NodeStatus(
            protocol=PROTOCOL_VERSION,
            version="0.1.0",
            device=spec.device,
            ready=self.ready,
            memory_budget=spec.budget,
            memory_used=sum(model.bytes for model in models),
            waiting_requests=waiting,
            waiting_tokens=waiting * 260,
            tokens_per_second=spec.rate * (1 + 0.03 * math.sin(now / 5)),
            models=models,
            host_budget=spec.host_budget,
            host_used=spec.host_budget // 5,
        )

    @staticmethod
    def _resident(held: Held, now: float, place: int) -> ResidentModel:
        model = MODELS[held.model]
        return ResidentModel(
            id=model.id,
            revision=None,
            state="failed" if held.failure else "loading" if held.loading else "resident",
            bytes=0 if held.failure else model.mib * MIB,
            in_use=_about(held.busy, now + place),
            pinned=model.pinned,
            idle_seconds=0.0 if held.busy else held.idle + now,
            dimensions=model.dimensions,
            max_tokens=model.limit,
            failure=held.failure,
            tier="failed" if held.failure else "loading" if held.loading else "device",
            progress=_progress(model.mib * MIB, now) if held.loading else None,
        )


def _progress(size: int, now: float) -> LoadProgress:
    """Of weights that are read, over and over again."""
    return LoadProgress("read", round(size * (0.3 + now / 40) % size), size, now % 40)


def _about(mean: float, moment: float) -> int:
    """A number around a mean, which changes with time and never jumps."""
    return round(mean * (1 + 0.4 * math.sin(moment))) if mean else 0
