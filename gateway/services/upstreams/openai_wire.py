"""OpenAI's wire, as far as embeddings and reranking go: what to send, and what the reply says."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta as Bounds

from gateway.engine_client import EmbedRequest, RerankRequest
from gateway.services.upstreams.replies import decoded, finite, in_order, packed

MOST_INPUTS = 2048
"""Of one request, at OpenAI's own; others take more."""
ENCODE = msgspec.json.Encoder().encode


Tokens = Annotated[int, Bounds(ge=0, lt=2**40)]
"""No upstream has a tenant pay more by one mistake."""


class Used(msgspec.Struct):
    """What a reply says it took."""

    total_tokens: Tokens | None = None
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    input_tokens: Tokens | None = None

    @property
    def tokens(self) -> int | None:
        """Of the input, which is all where nothing is generated."""
        return next((n for n in (self.prompt_tokens, self.total_tokens, self.input_tokens) if n is not None), None)

    @property
    def generated(self) -> int | None:
        """Of a prompt and its answers. None where it does not say: a prompt of nothing is what placeholders have."""
        return self.total_tokens or (self.prompt_tokens or 0) + (self.completion_tokens or 0) or None


class Vector(msgspec.Struct):
    """One input's."""

    embedding: str | list[float]
    index: int | None = None


class Vectors(msgspec.Struct):
    """The reply of `/embeddings`."""

    data: list[Vector]
    usage: Used | None = None


class Score(msgspec.Struct):
    """One document's, by whichever name."""

    index: int
    relevance_score: float | None = None
    score: float | None = None


class Meta(msgspec.Struct):
    """Cohere's place for what was used."""

    tokens: Used | None = None


class Scores(msgspec.Struct):
    """The reply of `/rerank`; Voyage says `data`."""

    results: list[Score] | None = None
    data: list[Score] | None = None
    usage: Used | None = None
    meta: Meta | None = None


class Listed(msgspec.Struct):
    """A model that the upstream serves."""

    id: str
    max_model_len: int | None = None
    """Tokens of its context, from vLLM and SGLang."""


class Models(msgspec.Struct):
    """The reply of `/models`."""

    data: list[Listed] = []


DECODE_VECTORS = msgspec.json.Decoder(Vectors).decode
DECODE_SCORES = msgspec.json.Decoder(Scores).decode
DECODE_MODELS = msgspec.json.Decoder(Models).decode


def embed_body(request: EmbedRequest, inputs: list[str]) -> bytes:
    """Base64 is asked for, and half of the servers give numbers all the same."""
    body: dict[str, Any] = {"model": request.model.source, "input": inputs, "encoding_format": "base64"}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return ENCODE(body)


def vectors(body: bytes, count: int, dimensions: int | None) -> tuple[bytes, int, int | None]:
    """The vectors in order, their width, and the tokens that they took, None where the reply does not say."""
    reply = decoded(DECODE_VECTORS, body)
    places = in_order([item.index for item in reply.data], count)
    data, width = packed([reply.data[place].embedding for place in places], dimensions)
    return data, width, reply.usage.tokens if reply.usage is not None else None


def rerank_body(request: RerankRequest) -> bytes:
    """All documents are to be scored, and none to be sent back."""
    return ENCODE(
        {
            "model": request.model.source,
            "query": request.query,
            "documents": request.documents,
            "return_documents": False,
        }
    )


def scores(body: bytes, count: int) -> tuple[list[float], int | None]:
    """The score of every document in order, and the tokens, None where the reply does not say."""
    reply = decoded(DECODE_SCORES, body)
    found = reply.results if reply.results is not None else reply.data or []
    places = in_order([item.index for item in found], count)
    values = [found[place].relevance_score for place in places]
    plain = [found[place].score if value is None else value for place, value in zip(places, values, strict=True)]
    used = reply.usage or (reply.meta.tokens if reply.meta is not None else None)
    numbers = [float("nan") if value is None else value for value in plain]
    return list(finite(numbers)), used.tokens if used is not None else None
