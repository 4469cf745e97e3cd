"""What each route takes and gives, for the document of the wires (openapi.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.api import (
    classify,
    cohere,
    cohere_schemas,
    embeddings,
    extract,
    generation,
    generation_body,
    label_schemas,
    rerank,
    schemas,
    tei,
    tei_schemas,
)
from gateway.api.cl100k import ORDINARY_TOKENS, SPECIAL_TOKENS
from gateway.api.input_types import OTHERS, WORDS
from gateway.api.texts import MAX_LABELS
from gateway.errors import ErrorBody, PlainErrorBody

REF = "#/components/schemas/{name}"
TYPES = [
    schemas.EmbeddingsBody,
    schemas.Embeddings,
    schemas.RerankBody,
    schemas.Ranking,
    schemas.TeiRank,
    cohere_schemas.CohereEmbedBody,
    cohere_schemas.CohereEmbeddings,
    tei_schemas.TeiBody,
    tei_schemas.TeiSparseValue,
    tei_schemas.ChromaSparse,
    label_schemas.ClassifyBody,
    label_schemas.Classifications,
    label_schemas.ExtractBody,
    label_schemas.Extractions,
    generation_body.ChatBody,
    generation_body.CompletionBody,
    schemas.Model,
    schemas.Models,
    schemas.Liveness,
    schemas.Readiness,
    ErrorBody,
    PlainErrorBody,
]


def ref(name: str) -> dict[str, str]:
    """The schema of this name."""
    return {"$ref": REF.format(name=name)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


TEXT: dict[str, Any] = {"type": "string"}
TOKEN = {
    "anyOf": [{"type": "integer", "minimum": 0, "exclusiveMaximum": ORDINARY_TOKENS}, {"enum": sorted(SPECIAL_TOKENS)}]
}
INPUT_TYPE = {"enum": [*WORDS, *OTHERS, None]}
LABELS = {"anyOf": [{**_list(TEXT), "maxItems": MAX_LABELS}, {"type": "null"}]}
LABELLED = {"anyOf": [TEXT, _list({"anyOf": [TEXT, {**_list(TEXT), "maxItems": 2}, ref("TextObject")]})]}
DOCUMENTS, TEXTS = _list({"anyOf": [TEXT, {"type": "object"}]}), _list(TEXT)
NARROWED: dict[str, dict[str, Any]] = {
    "EmbeddingsBody": {
        "required": ["input"],
        "properties": {
            "input": {"anyOf": [TEXT, TEXTS, _list(TOKEN), _list({"type": "array", "items": TOKEN})]},
            "input_type": INPUT_TYPE,
        },
    },
    "CohereEmbedBody": {
        "required": ["texts"],
        "properties": {
            "texts": TEXTS,
            "input_type": INPUT_TYPE,
            "truncate": {"enum": ["NONE", "END", None]},
            "images": {"type": "null"},
            "inputs": {"type": "null"},
        },
    },
    "TeiBody": {
        "properties": {"truncation_direction": {"enum": ["Right", "right", None]}},
        "anyOf": [
            {"required": ["inputs"], "properties": {"inputs": {"anyOf": [TEXT, TEXTS]}, "texts": {"type": "null"}}},
            {"required": ["texts"], "properties": {"texts": TEXTS}},
        ],
    },
    "ClassifyBody": {
        "properties": {"labels": LABELS},
        "anyOf": [
            {"required": ["input"], "properties": {"input": LABELLED}},
            {"required": ["inputs"], "properties": {"inputs": LABELLED, "input": {"type": "null"}}},
        ],
    },
    "ExtractBody": {"required": ["input"], "properties": {"input": {"anyOf": [TEXT, TEXTS]}, "labels": LABELS}},
    "ChatBody": {
        "required": ["messages"],
        "properties": {"messages": {"type": "array", "items": {"type": "object"}, "minItems": 1}},
    },
    "CompletionBody": {"required": ["prompt"], "properties": {"prompt": {"anyOf": [TEXT, {"type": "array"}]}}},
    "RerankBody": {
        "required": ["query"],
        "properties": {"query": TEXT},
        "anyOf": [
            {"required": ["documents"], "properties": {"documents": DOCUMENTS, "texts": {"type": "null"}}},
            {"required": ["texts"], "properties": {"texts": TEXTS}},
        ],
    },
}
"""What handlers ask of bodies beyond their decoders, which leave it to them because they say better what is wrong."""
WORK = (400, 401, 403, 404, 413, 429, 500, 503)
"""What may become of a request with a price."""


@dataclass(frozen=True, slots=True)
class Described:
    """Routes that do the same."""

    method: Literal["get", "post", "delete"]
    paths: Sequence[str]
    name: str
    summary: str
    replies: tuple[dict[str, Any], ...]
    """Schemas."""
    body: str | None = None
    errors: tuple[int, ...] = ()
    security: tuple[dict[str, list[str]], ...] | None = None
    """None: an API key."""
    media: str = "application/json"
    streams: bool = False
    """Whether the reply may be a stream of events."""
    wrong: tuple[str, ...] = ("ErrorBody",)
    """What errors look like."""
    query: tuple[dict[str, Any], ...] = ()
    """Parameters."""
    form: dict[str, Any] | None = None
    """The schema of a body that is a form."""


OPEN: tuple[dict[str, list[str]], ...] = ()
VECTORS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
TEI_REPLIES: dict[str, tuple[dict[str, Any], ...]] = {
    "dense": (VECTORS,),
    "sparse": (
        {"type": "array", "items": {"type": "array", "items": ref("TeiSparseValue")}},
        ref("ChromaSparse"),
    ),
    "multi": ({"type": "array", "items": VECTORS},),
}
ROUTES = (
    Described(
        "post", embeddings.PATHS, "create_embeddings", "Embed texts", (ref("Embeddings"),), "EmbeddingsBody", WORK
    ),
    *(
        Described(
            "post",
            paths,
            f"create_embeddings_as_cohere_{version}",
            f"Embed texts, as version {version} of Cohere's API",
            (ref("CohereEmbeddings"),),
            "CohereEmbedBody",
            WORK,
        )
        for version, paths in cohere.PATHS.items()
    ),
    *(
        Described(
            "post",
            kind.paths,
            f"create_{kind.output}_embeddings_as_tei",
            f"Embed texts as text-embeddings-inference does: {kind.output}",
            TEI_REPLIES[kind.output],
            "TeiBody",
            WORK,
            wrong=("PlainErrorBody",),
        )
        for kind in tei.KINDS
    ),
    Described(
        "post",
        rerank.PATHS,
        "create_ranking",
        "Rank documents by relevance to a query",
        (ref("Ranking"), {"type": "array", "items": ref("TeiRank")}),
        "RerankBody",
        WORK,
        wrong=("ErrorBody", "PlainErrorBody"),
    ),
    Described(
        "post",
        classify.PATHS,
        "create_classifications",
        "Say how well labels fit texts",
        (ref("Classifications"),),
        "ClassifyBody",
        WORK,
    ),
    Described(
        "post",
        extract.PATHS,
        "create_extractions",
        "Find the spans of texts that labels fit",
        (ref("Extractions"),),
        "ExtractBody",
        WORK,
    ),
    Described(
        "post",
        generation.CHAT,
        "create_chat_completion",
        "Have a conversation continued, by a model of an upstream; a stream of events where `stream` is true",
        ({"type": "object"},),
        "ChatBody",
        WORK,
        streams=True,
    ),
    Described(
        "post",
        generation.COMPLETIONS,
        "create_completion",
        "Have a text continued, by a model of an upstream; a stream of events where `stream` is true",
        ({"type": "object"},),
        "CompletionBody",
        WORK,
        streams=True,
    ),
    Described(
        "get",
        ("/v1/models", "/models"),
        "list_models",
        "List the models that this key may use",
        (ref("Models"),),
        errors=(401, 403, 500),
    ),
    Described(
        "get",
        ("/v1/models/{id}", "/models/{id}"),
        "show_model",
        "Show one model",
        (ref("Model"),),
        errors=(401, 403, 404, 500),
    ),
    Described(
        "get", ("/health/live",), "show_liveness", "Whether this process runs", (ref("Liveness"),), security=OPEN
    ),
    Described(
        "get",
        ("/health/ready",),
        "show_readiness",
        "Whether requests can be served",
        (ref("Readiness"),),
        security=OPEN,
    ),
    Described(
        "get",
        ("/metrics",),
        "show_metrics",
        "Prometheus metrics: with the metrics key where one is set, else from this machine only",
        (),
        errors=(401, 404),
        security=({"metricsKey": []}, {}),
        media="text/plain",
    ),
    Described("get", ("/openapi.json",), "show_openapi", "This document", (), security=OPEN),
)
