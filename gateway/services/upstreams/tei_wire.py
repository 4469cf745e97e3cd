"""The wire of text-embeddings-inference: bare lists, at most so many inputs a request, tokens counted in a header."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.engine_client import EmbedRequest, RerankRequest
from gateway.services.upstreams.replies import decoded, finite, in_order, packed

MOST_INPUTS = 32
"""Of one request, where the server does not say: its own default."""
TOKENS = "x-compute-tokens"
ENCODE = msgspec.json.Encoder().encode


class Info(msgspec.Struct):
    """The reply of `/info`."""

    model_id: str = ""
    max_client_batch_size: int = MOST_INPUTS
    max_input_length: int | None = None
    version: str = ""


class Rank(msgspec.Struct):
    """One text's score."""

    index: int
    score: float


DECODE_INFO = msgspec.json.Decoder(Info).decode
DECODE_VECTORS = msgspec.json.Decoder(list[list[float]]).decode
DECODE_RANKS = msgspec.json.Decoder(list[Rank]).decode


def embed_body(request: EmbedRequest, inputs: list[str]) -> bytes:
    """Vectors of length 1, as engine nodes give them."""
    body: dict[str, Any] = {"inputs": inputs, "truncate": request.truncate, "normalize": True}
    if request.prompt_name is not None:
        body["prompt_name"] = request.prompt_name
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return ENCODE(body)


def vectors(body: bytes, count: int, dimensions: int | None) -> tuple[bytes, int]:
    """The vectors in order, and their width."""
    reply = decoded(DECODE_VECTORS, body)
    in_order([None] * len(reply), count)
    return packed(reply, dimensions)


def rerank_body(request: RerankRequest, texts: list[str]) -> bytes:
    """Scores from 0 to 1."""
    return ENCODE({"query": request.query, "texts": texts, "truncate": request.truncate, "raw_scores": False})


def scores(body: bytes, count: int) -> list[float]:
    """The score of every text in order."""
    reply = decoded(DECODE_RANKS, body)
    places = in_order([rank.index for rank in reply], count)
    return list(finite([reply[place].score for place in places]))


def tokens(headers: Mapping[str, str]) -> int | None:
    """What the request took; None where the reply does not say."""
    said = headers.get(TOKENS, "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 16 else None
