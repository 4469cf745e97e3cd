"""`POST /v1/embeddings`: OpenAI's wire, with what Jina, Voyage and we add to it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive
from msgspec import UNSET

from gateway.api.answers import Answer
from gateway.api.bodies import decode_body, may_truncate, read_body
from gateway.api.costs import embed_cost
from gateway.api.inference import ask, inference_route, tokens_of, truncation_header
from gateway.api.input_types import meant, of_header
from gateway.api.model_choice import Chosen, choose_model
from gateway.api.paths import EMBEDDINGS
from gateway.api.schemas import Embedding, Embeddings, EmbeddingsBody, Quantization, SparseEmbedding, Usage
from gateway.api.texts import texts_of
from gateway.api.vectors import numbers, packed, rows, sparse_numbers
from gateway.call import Call
from gateway.engine_client import EmbedReply, EmbedRequest, OutputType, model_ref
from gateway.services.opened import Services
from gateway.services.pools.node import to_embed
from gateway.settings import GatewaySettings

DECODE = msgspec.json.Decoder(EmbeddingsBody).decode
ENCODE = msgspec.json.Encoder().encode


def embeddings_route(services: Services) -> HTTPRouteHandler:
    """The route, serving from these services."""
    return inference_route(services, EMBEDDINGS, embed, scope="embeddings")


class Asked(NamedTuple):
    """What a body asks for."""

    chosen: Chosen
    request: EmbedRequest
    as_base64: bool

    def render(self, reply: EmbedReply) -> Answer:
        """The answer."""
        return render(reply, self.chosen.name, self.request.output_dtype, as_base64=self.as_base64)


async def embed(services: Services, call: Call, receive: Receive) -> Answer:
    """Embed what the body asks for."""
    asked = await understand(services.settings, call, await read_body(receive, call, services.settings.max_body_bytes))
    cost = embed_cost(asked.chosen.model, asked.request.inputs)
    (reply,) = await ask(services, call, receive, asked.chosen, to_embed, asked.request, tokens=cost)
    return asked.render(reply)


async def understand(settings: GatewaySettings, call: Call, content: bytes) -> Asked:
    """What the body of this call asks for, of a model that the call's key may use."""
    body = decode_body(DECODE, content)
    chosen = choose_model(call, body.model or settings.default_model)
    texts = await texts_of(body.input, settings.max_inputs)
    call.inputs = len(texts)
    input_type, prompt_name = meant(body.input_type or of_header(call.headers), chosen.model.facts.prompts)
    request = EmbedRequest(
        model_ref(chosen.model),
        texts,
        dimensions=body.dimensions or body.output_dimension,
        truncate=may_truncate(body.truncate, body.truncation),
        outputs=tuple(dict.fromkeys(body.output_types or ("dense",))),
        input_type=input_type or chosen.input_type,
        prompt_name=body.prompt_name or prompt_name,
        task=body.task,
        output_dtype=number_type(body.output_dtype, body.embedding_type),
    )
    return Asked(chosen, request, "base64" in (body.encoding_format, body.embedding_type))


def number_type(*said: str | None) -> OutputType:
    """The numbers of vectors, by the first spelling that says anything."""
    known = (word for word in said if word is not None and word != "base64")
    word: Any = next(known, "float")
    return "float32" if word == "float" else word


def render(reply: EmbedReply, name: str, kind: OutputType, *, as_base64: bool) -> Answer:
    """The reply's bytes. Vectors go from the node's bytes to base64 or to JSON numbers without loss."""
    dense: Sequence[Any] = (packed if as_base64 else numbers)(reply, kind) or [[]] * len(reply.token_counts)
    tokens = tokens_of(reply)
    body = ENCODE(
        Embeddings(
            data(reply, dense) if reply.sparse or reply.multi else list(map(Embedding, range(len(dense)), dense)),
            name,
            Usage(tokens, tokens),
            reply.truncated or UNSET,
            UNSET if reply.scale is None else Quantization(reply.scale, reply.offset),
        )
    )
    return Answer(body, headers=truncation_header(reply.truncated))


def data(reply: EmbedReply, dense: Sequence[Any]) -> list[Embedding]:
    """Every input with all that was asked for."""
    return [
        Embedding(
            index,
            vector,
            SparseEmbedding(*sparse_numbers(reply.sparse[index])) if reply.sparse is not None else UNSET,
            rows(reply.multi[index], reply.multi_dimensions or 1) if reply.multi is not None else UNSET,
        )
        for index, vector in enumerate(dense)
    ]
