"""`POST /embed`, `/embed_sparse` and `/embed_all`: the vectors of text-embeddings-inference's wire."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive

from gateway.api.answers import Answer
from gateway.api.bodies import decode_body, may_truncate, read_body
from gateway.api.costs import embed_cost
from gateway.api.inference import ask, inference_route, tei_headers
from gateway.api.input_types import meant, of_header
from gateway.api.model_choice import choose_model
from gateway.api.paths import TEI_DENSE, TEI_EVERY_TOKEN, TEI_SPARSE
from gateway.api.schemas import SparseEmbedding
from gateway.api.tei_schemas import ChromaDense, ChromaSparse, TeiBody, TeiSparseValue
from gateway.api.texts import texts_of
from gateway.api.vectors import numbers, rows, sparse_numbers
from gateway.call import Call
from gateway.engine_client import EmbedReply, EmbedRequest, model_ref
from gateway.errors import RequestError
from gateway.services.opened import Services
from gateway.services.pools.node import to_embed

CHROMAS_MODEL = b"x-chroma-embedding-model"
UNIT = 1e-5
"""How far from 1 the length of a vector may be that is of length 1."""
DECODE = msgspec.json.Decoder(TeiBody).decode
ENCODE = msgspec.json.Encoder().encode


def dense(reply: EmbedReply, body: TeiBody) -> Any:
    """A list of vectors, or Chroma's object with one."""
    vectors = numbers(reply, "float32")
    if body.normalize is not False:
        vectors = list(map(of_length_one, vectors))
    return ChromaDense(vectors) if body.texts is not None else vectors


def sparse(reply: EmbedReply, body: TeiBody) -> Any:
    """The dimensions that are not 0: a list of index and value each, or Chroma's two lists."""
    vectors = [sparse_numbers(vector) for vector in reply.sparse or ()]
    if body.texts is not None:
        return ChromaSparse([SparseEmbedding(*vector) for vector in vectors])
    return [list(map(TeiSparseValue, *vector)) for vector in vectors]


def every_token(reply: EmbedReply, body: TeiBody) -> Any:  # noqa: ARG001 - as the others
    """A list of vectors for each input."""
    return [rows(many, reply.multi_dimensions or 1) for many in reply.multi or ()]


class Kind(NamedTuple):
    """One of the calls."""

    paths: Sequence[str]
    output: str
    shape: Callable[[EmbedReply, TeiBody], Any]


DENSE = Kind(TEI_DENSE, "dense", dense)
KINDS = (DENSE, Kind(TEI_SPARSE, "sparse", sparse), Kind(TEI_EVERY_TOKEN, "multi", every_token))


def tei_routes(services: Services) -> list[HTTPRouteHandler]:
    """The routes, serving from these services."""
    return [inference_route(services, kind.paths, partial(embed, kind=kind), scope="embeddings") for kind in KINDS]


async def embed(services: Services, call: Call, receive: Receive, *, kind: Kind) -> Answer:
    """Embed what the body holds."""
    content = await read_body(receive, call, services.settings.max_body_bytes)
    return await answer(services, call, receive, content, kind=kind)


async def answer(services: Services, call: Call, receive: Receive, content: bytes, *, kind: Kind) -> Answer:
    """Embed what a body of this content holds."""
    body = decode_body(DECODE, content)
    if body.truncation_direction in ("Left", "left"):
        raise RequestError("Texts can be cut at their right end only.", param="truncation_direction")
    named = body.model or call.headers.get(CHROMAS_MODEL, b"").decode("latin-1")
    chosen = choose_model(call, named or services.settings.default_model)
    field = "inputs" if body.texts is None else "texts"
    texts = await texts_of(body.inputs if body.texts is None else body.texts, services.settings.max_inputs, field)
    call.inputs = len(texts)
    input_type, prompt_name = meant(of_header(call.headers), chosen.model.facts.prompts)
    request = EmbedRequest(
        model_ref(chosen.model),
        texts,
        dimensions=body.dimensions,
        truncate=may_truncate(body.truncate),
        outputs=(kind.output,),
        input_type=input_type or chosen.input_type,
        prompt_name=body.prompt_name or prompt_name,
    )
    cost = embed_cost(chosen.model, texts)
    (reply,) = await ask(services, call, receive, chosen, to_embed, request, tokens=cost)
    return Answer(ENCODE(kind.shape(reply, body)), headers=tei_headers(reply))


def of_length_one(vector: list[float]) -> list[float]:
    """The vector scaled to length 1; as it is where it has that already, or is all zeros."""
    length = math.hypot(*vector)
    return vector if length == 0 or abs(length - 1) < UNIT else [value / length for value in vector]
