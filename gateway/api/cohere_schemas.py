"""Cohere's embed, in both of its versions."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.api.schemas import ApiVersion, NumberType, Positive

EmbeddingType = NumberType | Literal["base64"]


class CohereEmbedBody(msgspec.Struct):
    """`POST /v1/embed` and `POST /v2/embed`."""

    texts: list[str] | None = None
    model: str | None = None
    input_type: str | None = None
    """`search_query` or `search_document`; `classification` and `clustering` for models that have such prompts."""
    embedding_types: Annotated[list[EmbeddingType], Meta(min_length=1)] | None = None
    """Each kind of number is a pass of the model."""
    output_dimension: Positive | None = None
    truncate: Literal["NONE", "START", "END"] | None = None
    """Inputs that are too long are cut at their end, or with NONE refused. START is not known here."""
    images: Any = None
    inputs: Any = None


class EmbeddingsByType(msgspec.Struct, frozen=True):
    """Vectors, by the kind of their numbers."""

    float: list[list[Any]] | UnsetType = UNSET
    int8: list[list[int]] | UnsetType = UNSET
    uint8: list[list[int]] | UnsetType = UNSET
    binary: list[list[int]] | UnsetType = UNSET
    ubinary: list[list[int]] | UnsetType = UNSET
    base64: list[Annotated[Any, Meta(extra_json_schema={"type": "string"})]] | UnsetType = UNSET
    """Of little-endian float32."""


class BilledTokens(msgspec.Struct, frozen=True):
    """What Cohere would charge for."""

    input_tokens: int


class EmbedMeta(msgspec.Struct, frozen=True):
    """Cohere's account of a request."""

    api_version: ApiVersion
    billed_units: BilledTokens


class CohereEmbeddings(msgspec.Struct, frozen=True):
    """The reply of Cohere's embed."""

    id: str
    embeddings: EmbeddingsByType | list[list[float]]
    """By type; a plain list in version 1 where the request names no type."""
    texts: list[str]
    meta: EmbedMeta
    response_type: Literal["embeddings_by_type", "embeddings_floats"] | UnsetType = UNSET
    """In version 1."""
