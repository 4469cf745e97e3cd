"""What each route takes and gives, for the document of the wires (openapi.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.api import cohere_schemas, generation_body, label_schemas, schemas, tei_schemas
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
    schemas.WeaviateRanking,
    cohere_schemas.CohereEmbedBody,
    cohere_schemas.CohereEmbeddings,
    tei_schemas.TeiBody,
    tei_schemas.TeiSparseValue,
    tei_schemas.ChromaSparse,
    tei_schemas.ChromaDense,
    tei_schemas.TeiTokensBody,
    tei_schemas.TeiToken,
    tei_schemas.TeiPredictBody,
    tei_schemas.TeiPrediction,
    tei_schemas.TeiInfo,
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
ONE_OR_TWO = {**_list(TEXT), "maxItems": 2}
LABELLED = {"anyOf": [TEXT, _list({"anyOf": [TEXT, ONE_OR_TWO, ref("TextObject")]})]}
DOCUMENTS, TEXTS = _list({"anyOf": [TEXT, {"type": "object"}]}), _list(TEXT)
NARROWED: dict[str, dict[str, Any]] = {
    "EmbeddingsBody": {
        "required": ["input"],
        "properties": {
            "input": {
                "anyOf": [
                    TEXT,
                    _list(TEXT),
                    _list(TOKEN),
                    _list({"type": "array", "items": TOKEN}),
                    _list(ref("TextObject")),
                ]
            },
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
    "TeiTokensBody": {"required": ["inputs"], "properties": {"inputs": {"anyOf": [TEXT, TEXTS]}}},
    "TeiPredictBody": {
        "required": ["inputs"],
        "properties": {"inputs": {"anyOf": [TEXT, ONE_OR_TWO, _list(ONE_OR_TWO)]}},
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
    body: str | dict[str, Any] | None = None
    """A schema, or the name of one."""
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
