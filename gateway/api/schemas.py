"""The public wire: what callers may send and what they get. Unknown fields are ignored, null means absent."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.services.register.model_facts import Task

Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]
"""A count that every part of the path can carry; JSON alone has no largest number."""
TokenArray = list[int]


Output = Literal["dense", "sparse", "multi"]
NumberType = Literal["float", "int8", "uint8", "binary", "ubinary"]
"""Of vectors: `binary` and `ubinary` have one bit a dimension, eight of them in a number, the first the highest."""

VECTOR = {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string", "contentEncoding": "base64"}]}


class TextObject(msgspec.Struct):
    """Jina's way to send a text."""

    text: str


class EmbeddingsBody(msgspec.Struct):
    """`POST /v1/embeddings`."""

    input: str | list[str | int | TokenArray | TextObject] | None = None
    """A text, a list of texts, one token array (cl100k_base) or a list of them."""
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Positive | None = None
    output_dimension: Positive | None = None
    """Voyage's spelling of `dimensions`."""
    truncate: bool | str | None = None
    """False or "NONE" refuses inputs that are longer than the model takes, instead of cutting them."""
    truncation: bool | None = None
    """Voyage's spelling of `truncate`."""
    input_type: str | None = None
    """`query` or `document`, or another client's word for it: chooses the model's own prompt."""
    task: str | None = None
    """One of the model's own, or Jina's words for a query and a passage; it goes before `input_type`."""
    prompt_name: str | None = None
    """One of the model's own prompts; it goes before `task`."""
    output_types: Annotated[list[Output], Meta(min_length=1)] | None = None
    """What each input shall have; absent: `dense`."""
    output_dtype: NumberType | None = None
    """Of the numbers of `embedding`."""
    embedding_type: NumberType | Literal["base64"] | None = None
    """Jina's spelling of `output_dtype` and `encoding_format`."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens that the model processed, special tokens included."""

    prompt_tokens: int
    total_tokens: int


class SparseEmbedding(msgspec.Struct, frozen=True):
    """The dimensions of the vocabulary that are not 0, ascending."""

    indices: list[int]
    values: list[float]


class Embedding(msgspec.Struct, frozen=True, tag_field="object", tag="embedding"):
    """What one input has. Outputs other than `dense` have keys of their own."""

    index: int
    embedding: Annotated[Any, Meta(extra_json_schema=VECTOR)]
    """A list of numbers, or base64 of them, little-endian float32 or bytes; empty where `dense` was not asked for."""
    sparse_embedding: SparseEmbedding | UnsetType = UNSET
    multi_embedding: list[list[float]] | UnsetType = UNSET
    """A vector for each token that counts."""


class Quantization(msgspec.Struct, frozen=True):
    """What int8 and uint8 stand for: a number of the vector is (stored - offset) * scale."""

    scale: float
    offset: int


class Embeddings(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """The reply of `POST /v1/embeddings`."""

    data: list[Embedding]
    model: str
    usage: Usage
    truncated: list[int] | UnsetType = UNSET
    """Indices of the inputs that were cut; absent where none was."""
    quantization: Quantization | UnsetType = UNSET


class RerankBody(msgspec.Struct):
    """`POST /v1/rerank`, by Cohere, Jina, Voyage, vLLM, Infinity and (with `texts`) TEI."""

    query: str | None = None
    documents: list[str | dict[str, Any]] | None = None
    texts: list[str] | None = None
    """TEI's documents; the reply is then TEI's bare list."""
    model: str | None = None
    top_n: Annotated[int, Meta(ge=0)] | None = None
    """The best so many; absent or 0: all."""
    top_k: Annotated[int, Meta(ge=0)] | None = None
    """Voyage's spelling of `top_n`."""
    return_documents: bool | None = None
    return_text: bool | None = None
    instruction: str | None = None
    """What makes a document relevant, for models that read such a text."""
    rank_fields: list[str] | None = None
    """Fields of object documents that make their text."""
    truncate: bool | str | None = None
    truncation: bool | None = None
    property: str | None = None
    """Weaviate's; the reply is then the one of its own reranker."""


class DocumentText(msgspec.Struct, frozen=True):
    """A document in a reply."""

    text: str


class RankedDocument(msgspec.Struct, frozen=True):
    """One document's score."""

    index: int
    relevance_score: float
    document: DocumentText | str | UnsetType = UNSET
    """The text itself for LiteLLM's client of Infinity, else an object."""


class ApiVersion(msgspec.Struct, frozen=True):
    """Cohere's word for which of its wires answered."""

    version: str


class BilledUnits(msgspec.Struct, frozen=True):
    """Cohere's unit: one query over at most 100 documents."""

    search_units: int


class InputTokens(msgspec.Struct, frozen=True):
    """Cohere's token count."""

    input_tokens: int


class RerankMeta(msgspec.Struct, frozen=True):
    """Cohere's account of a request."""

    api_version: ApiVersion
    billed_units: BilledUnits
    tokens: InputTokens


class Ranking(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """The reply of `POST /v1/rerank`: one superset in which every client finds its own keys; best first."""

    id: str
    model: str
    results: list[RankedDocument]
    usage: Usage
    meta: RerankMeta
    data: list[RankedDocument] | UnsetType = UNSET
    """The results again, for Voyage's clients; absent where the request has `top_n`, for which those say `top_k`."""
    truncated: list[int] | UnsetType = UNSET


class TeiRank(msgspec.Struct, frozen=True):
    """One text's score as TEI replies."""

    index: int
    score: float
    text: str | UnsetType = UNSET


class WeaviateScore(msgspec.Struct, frozen=True):
    """One document's, as Weaviate's own reranker replies."""

    document: str
    score: float


class WeaviateRanking(msgspec.Struct, frozen=True):
    """The reply to Weaviate's `reranker-transformers`."""

    query: str
    scores: list[WeaviateScore]


ModelType = Literal["embedding", "rerank", "classify", "extract"]


class Model(msgspec.Struct, frozen=True, tag_field="object", tag="model"):
    """A model that this key may use."""

    id: str
    created: int
    owned_by: str
    type: ModelType
    tasks: tuple[Task, ...]
    """What it can be asked to do; empty where its files were not looked at."""
    outputs: tuple[str, ...]
    native: bool | None
    """False: it runs padded, by transformers."""
    dimensions: int | None
    max_input_tokens: int | None
    aliases: tuple[str, ...]


class Models(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """The reply of `GET /v1/models`."""

    data: list[Model]


class Liveness(msgspec.Struct, frozen=True):
    """The reply of `GET /health/live`."""

    status: Literal["live"]


class PoolReadiness(msgspec.Struct, frozen=True):
    """How many nodes of a pool there are, and how many of them can serve."""

    nodes: int
    healthy: int


class WorkersReadiness(msgspec.Struct, frozen=True):
    """How many processes there shall be, how many take requests, and how many of these are ready."""

    wanted: int
    serving: int
    ready: int


class Readiness(msgspec.Struct, frozen=True):
    """The reply of `GET /health/ready`."""

    status: Literal["ready", "starting", "draining", "no_room"]
    """Requests are welcome; no node has been reached yet; this gateway is stopping; usage can not be kept."""
    reasons: list[str]
    """What is not as it should be, whether it makes the gateway unready or not."""
    policies: bool
    """Whether they are known."""
    quota: str
    """Who decides on quotas."""
    pools: dict[str, PoolReadiness]
    workers: WorkersReadiness | UnsetType = UNSET
    """Where there are several."""
