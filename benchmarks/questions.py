"""What models of every head are asked over the public wires, and how an answer is held against a node's own, alone.

Answers become numbers by name, so that they compare whatever their order: a reply to one request has one part for each
input, or for each document.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.protocol import (
    ClassifyReply,
    ClassifyRequest,
    EmbedReply,
    EmbedRequest,
    ExtractReply,
    ExtractRequest,
    ModelRef,
    RerankReply,
    RerankRequest,
)
from engine.runtime import Runtime, open_runtime
from engine.settings import EngineSettings

Request = EmbedRequest | RerankRequest | ClassifyRequest | ExtractRequest
Part = Mapping[str, float]
"""Numbers by name: `dense 7`, `sparse 31`, `w20`, `3-8 w20`."""

TEXTS = (
    "w5 w6 w7",
    "w9",
    " ".join(f"w{5 + place * 7 % 95}" for place in range(60)),
    "w20 w21 nothing w22 . w23 w20",
    " ".join(f"w{5 + place % 90}" for place in range(200)),
    "",
)
LABELS = ("w20", "w30 w31", "w44")
OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "dense": ("dense",),
    "sparse": ("sparse",),
    "all-three": ("dense", "sparse", "multi"),
    "multi": ("multi",),
}


@dataclass(frozen=True, slots=True)
class Question:
    """A request and, of a node that was asked nothing else meanwhile, the answer."""

    request: Request
    truth: Sequence[Part]

    @property
    def model(self) -> str:
        """Its id."""
        return self.request.model.id

    def wrong(self, parts: Sequence[Part], tolerance: float) -> str | None:
        """What is wrong with an answer, if anything; what is not named counts as 0."""
        if len(parts) != len(self.truth):
            return f"{len(parts)} parts instead of {len(self.truth)}"
        for index, (said, true) in enumerate(zip(parts, self.truth, strict=True)):
            for name in said.keys() | true.keys():
                if not abs(said.get(name, 0.0) - true.get(name, 0.0)) <= tolerance * max(1.0, abs(true.get(name, 0.0))):
                    return f"{self.model}, part {index}, {name}: {said.get(name)} instead of {true.get(name)}"
        return None


def questions(folders: Mapping[str, Path]) -> list[Question]:
    """Of every model what it can do, with each text alone and with all of them together."""
    return asyncio.run(_answered([one for name, folder in folders.items() for one in _of(name, folder)]))


async def _answered(requests: Sequence[Request]) -> list[Question]:
    async with open_runtime(EngineSettings(device="cpu")) as runtime:
        return [Question(request, parts_of(await ask(runtime, request))) for request in requests]


def _of(name: str, folder: Path) -> Iterator[Request]:
    ref = ModelRef(name, str(folder))
    for texts in ([list(TEXTS)], [[text] for text in TEXTS[:4]]):
        for some in texts:
            if name in OUTPUTS:
                yield EmbedRequest(ref, some, outputs=OUTPUTS[name])
                yield EmbedRequest(ref, some, outputs=OUTPUTS[name], input_type="query")
            if name in OUTPUTS or name in ("cross-encoder", "answers"):
                yield RerankRequest(ref, "w5 w20 w33", some)
            if name in ("inference", "classes"):
                yield ClassifyRequest(ref, list(some), labels=list(LABELS), multi_label=len(some) > 1)
            if name == "classifier":
                yield ClassifyRequest(ref, [*some, ("w5 w6", some[0])])
            if name == "spans":
                yield ExtractRequest(ref, some, labels=list(LABELS), threshold=0.6)
            if name == "tagger":
                yield ExtractRequest(ref, some)


async def ask(runtime: Runtime, request: Request) -> EmbedReply | RerankReply | ClassifyReply | ExtractReply:
    """The node's own reply."""
    match request:
        case EmbedRequest():
            return await runtime.embed(request)
        case RerankRequest():
            return await runtime.rerank(request)
        case ClassifyRequest():
            return await runtime.classify(request)
        case ExtractRequest():
            return await runtime.extract(request)


def parts_of(reply: EmbedReply | RerankReply | ClassifyReply | ExtractReply) -> list[Part]:
    """What a node says, by names."""
    match reply:
        case EmbedReply():
            return [_embedded(reply, index) for index in range(len(reply.token_counts))]
        case RerankReply():
            return [{"score": score} for score in reply.scores]
        case ClassifyReply():
            return [{fit.label: fit.score for fit in fits} for fits in reply.labels]
        case ExtractReply():
            return [{f"{one.start}-{one.end} {one.label}": one.score for one in found} for found in reply.entities]


def _embedded(reply: EmbedReply, index: int) -> Part:
    first = index * reply.dimensions
    dense = np.frombuffer(reply.vectors, "<f4")[first : first + reply.dimensions]  # none, where none was asked for
    part = {f"dense {place}": float(value) for place, value in enumerate(dense)}
    if reply.sparse is not None:
        vector = reply.sparse[index]
        values = zip(np.frombuffer(vector.indices, "<i4"), np.frombuffer(vector.values, "<f4"), strict=True)
        part |= {f"sparse {place}": float(value) for place, value in values}
    if reply.multi is not None:
        numbers = np.frombuffer(reply.multi[index], "<f4")
        part |= {f"multi {place}": float(value) for place, value in enumerate(numbers)}
    return part


def over_http(request: Request) -> tuple[str, dict[str, Any]]:
    """The path and the body that ask the same of a gateway."""
    match request:
        case EmbedRequest():
            said = {"input": request.inputs, "output_types": request.outputs, "input_type": request.input_type}
            return "/v1/embeddings", {"model": request.model.id, **said}
        case RerankRequest():
            return "/v1/rerank", {"model": request.model.id, "query": request.query, "documents": request.documents}
        case ClassifyRequest():
            labels = {"labels": request.labels, "multi_label": request.multi_label}
            return "/v1/classify", {"model": request.model.id, "input": msgspec.to_builtins(request.inputs), **labels}
        case ExtractRequest():
            chosen: dict[str, Any] = {"labels": request.labels, "threshold": request.threshold}
            return "/v1/extract", {"model": request.model.id, "input": request.inputs, **chosen}


def parts_over_http(request: Request, reply: Mapping[str, Any]) -> list[Part]:
    """What a gateway says, by the same names."""
    match request:
        case EmbedRequest():
            return [_embedded_over_http(item) for item in reply["data"]]
        case RerankRequest():
            ranked = sorted(reply["results"], key=lambda result: int(result["index"]))
            return [{"score": result["relevance_score"]} for result in ranked]
        case ClassifyRequest():
            return [{fit["label"]: fit["score"] for fit in item["predictions"]} for item in reply["data"]]
        case ExtractRequest():
            found = (item["entities"] for item in reply["data"])
            return [{f"{one['start']}-{one['end']} {one['label']}": one["score"] for one in some} for some in found]


def _embedded_over_http(item: Mapping[str, Any]) -> Part:
    part = {f"dense {place}": value for place, value in enumerate(item["embedding"])}
    if (vector := item.get("sparse_embedding")) is not None:
        part |= {f"sparse {place}": value for place, value in zip(vector["indices"], vector["values"], strict=True)}
    flat = (value for row in item.get("multi_embedding", ()) for value in row)
    return part | {f"multi {place}": value for place, value in enumerate(flat)}
