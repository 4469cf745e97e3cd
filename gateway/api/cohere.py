"""`POST /v1/embed` and `POST /v2/embed`: Cohere's wire, for its clients and those that are built on them."""

from functools import partial
from typing import Any, Literal

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive
from msgspec import UNSET

from gateway.api.answers import Answer
from gateway.api.bodies import decode_body, may_truncate, read_body
from gateway.api.cohere_schemas import (
    BilledTokens,
    CohereEmbedBody,
    CohereEmbeddings,
    EmbeddingsByType,
    EmbeddingType,
    EmbedMeta,
)
from gateway.api.costs import embed_cost
from gateway.api.inference import ask, inference_route, tokens_of, truncation_header
from gateway.api.input_types import meant
from gateway.api.model_choice import choose_model
from gateway.api.paths import COHERE_1, COHERE_2
from gateway.api.schemas import ApiVersion
from gateway.api.texts import texts_of
from gateway.api.vectors import numbers, packed
from gateway.call import Call
from gateway.engine_client import EmbedReply, EmbedRequest, OutputType, model_ref
from gateway.errors import RequestError
from gateway.services.opened import Services
from gateway.services.pools.node import to_embed
from policies.estimate import TokenEstimate

Version = Literal["1", "2"]
PATHS: dict[Version, tuple[str, ...]] = {"1": COHERE_1, "2": COHERE_2}
DECODE = msgspec.json.Decoder(CohereEmbedBody).decode
ENCODE = msgspec.json.Encoder().encode


def cohere_routes(services: Services) -> list[HTTPRouteHandler]:
    """Both versions."""
    return [
        inference_route(services, paths, partial(embed, version=version), scope="embeddings")
        for version, paths in PATHS.items()
    ]


async def embed(services: Services, call: Call, receive: Receive, *, version: Version) -> Answer:
    """Embed what the body holds."""
    content = await read_body(receive, call, services.settings.max_body_bytes)
    return await answer(services, call, receive, content, version=version)


async def answer(services: Services, call: Call, receive: Receive, content: bytes, *, version: Version) -> Answer:
    """Embed what a body of this content holds, once for each kind of number that it names."""
    body = decode_body(DECODE, content)
    if body.images is not None or body.inputs is not None:
        raise RequestError("Only `texts` can be embedded here, no `images` and no `inputs`.", param="texts")
    if body.truncate == "START":
        raise RequestError("Texts can be cut at their END only; or send NONE to have none cut.", param="truncate")
    chosen = choose_model(call, body.model or services.settings.default_model)
    texts = await texts_of(body.texts, services.settings.max_inputs, "texts")
    call.inputs = len(texts)
    input_type, prompt_name = meant(body.input_type, chosen.model.facts.prompts)
    request = EmbedRequest(
        model_ref(chosen.model),
        texts,
        dimensions=body.output_dimension,
        truncate=may_truncate(body.truncate),
        input_type=input_type or chosen.input_type,
        prompt_name=prompt_name,
    )
    named: list[EmbeddingType] = body.embedding_types or ["float"]
    kinds = list(dict.fromkeys(map(numbers_of, named)))
    works = [msgspec.structs.replace(request, output_dtype=kind) for kind in kinds]
    cost = TokenEstimate(len(works) * embed_cost(chosen.model, texts))
    replies = await ask(services, call, receive, chosen, to_embed, *works, tokens=cost)
    return render(dict(zip(kinds, replies, strict=True)), texts, body, version=version, request_id=call.id)


def numbers_of(name: EmbeddingType) -> OutputType:
    """Which numbers a node must give for one of Cohere's types."""
    return "float32" if name == "float" or name == "base64" else name


def render(
    replies: dict[OutputType, EmbedReply], texts: list[str], body: CohereEmbedBody, *, version: Version, request_id: str
) -> Answer:
    """The reply of this version. Tokens are those of all passes."""
    named = body.embedding_types or (["float"] if version == "2" else None)
    truncated = next(iter(replies.values())).truncated
    embeddings: Any = numbers(replies["float32"], "float32") if named is None else _by_type(replies, named)
    reply = CohereEmbeddings(
        id=request_id,
        embeddings=embeddings,
        texts=texts,
        meta=EmbedMeta(ApiVersion(version), BilledTokens(sum(map(tokens_of, replies.values())))),
        response_type=UNSET if version == "2" else "embeddings_floats" if named is None else "embeddings_by_type",
    )
    return Answer(ENCODE(reply), headers=truncation_header(truncated))


def _by_type(replies: dict[OutputType, EmbedReply], named: list[EmbeddingType]) -> EmbeddingsByType:
    shown: dict[str, Any] = {}
    for name in named:
        kind = numbers_of(name)
        shown[name] = (packed if name == "base64" else numbers)(replies[kind], kind)
    return EmbeddingsByType(**shown)
