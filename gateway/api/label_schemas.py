"""What callers send to have texts labelled and spans found, and what they get."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.api.schemas import TextObject, Usage
from gateway.engine_client import Aggregation

Share = Annotated[float, Meta(ge=0, le=1)]
Pair = Annotated[list[str], Meta(min_length=2, max_length=2)]


class ClassifyBody(msgspec.Struct):
    """`POST /v1/classify`, by vLLM, SGLang, Jina, and (with `inputs`) Cohere."""

    input: str | list[str | list[str] | TextObject] | None = None
    """A text, or a list of texts and of pairs that the model reads as one."""
    inputs: str | list[str | list[str] | TextObject] | None = None
    """Cohere's spelling of `input`; the reply then has `classifications` too."""
    model: str | None = None
    labels: list[str] | None = None
    """Any words, for models that read them; absent: the model's own."""
    multi_label: bool | None = None
    """With `labels`: each is right or wrong by itself, instead of one of them."""
    hypothesis_template: str | None = None
    """For models of inference: what says that a label, in place of `{}`, is right."""
    threshold: Share | None = None
    """Labels below it are left out."""
    top_k: Annotated[int, Meta(ge=1)] | None = None
    """So many of the best labels."""
    raw_scores: bool | None = None
    """Logits, as the model gives them."""
    truncate: bool | str | None = None
    truncation: bool | None = None


class LabelFit(msgspec.Struct, frozen=True):
    """How well a label fits."""

    label: str
    score: float


class Classification(msgspec.Struct, frozen=True, tag_field="object", tag="classification"):
    """What fits one input: vLLM's words (`label`, `probs`, `num_classes`) and Jina's (`prediction`, `predictions`)."""

    index: int
    label: str | None
    """The best; null where none reached the threshold."""
    score: float | None
    prediction: str | None
    predictions: list[LabelFit]
    """The best first."""
    num_classes: int
    probs: list[float] | UnsetType = UNSET
    """Scores in the order of the labels of the request, or of the model; absent where some were left out."""


class LabelConfidence(msgspec.Struct, frozen=True):
    """Cohere's word for a score."""

    confidence: float


class CohereClassification(msgspec.Struct, frozen=True):
    """What fits one input, in Cohere's words."""

    id: str
    input: str
    prediction: str | None
    predictions: list[str]
    confidence: float | None
    confidences: list[float]
    labels: dict[str, LabelConfidence]
    classification_type: Literal["single-label", "multi-label"]


class Classifications(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """The reply of `POST /v1/classify`."""

    id: str
    created: int
    model: str
    data: list[Classification]
    usage: Usage
    classifications: list[CohereClassification] | UnsetType = UNSET
    """The same in Cohere's words; present where the request was Cohere's."""
    truncated: list[int] | UnsetType = UNSET
    """Indices of the inputs that were cut; absent where none was."""


class ExtractBody(msgspec.Struct):
    """`POST /v1/extract`."""

    input: str | list[str] | None = None
    model: str | None = None
    labels: list[str] | None = None
    """Any words, for models that read them; with others some of their own. Absent: all of the model's own."""
    threshold: Share | None = None
    """Spans below it are left out; absent: the model's own threshold."""
    thresholds: dict[str, Share] | None = None
    """By label, where it is not the others'; for models that read labels."""
    flat: bool | None = None
    """False: a span may lie in another."""
    multi_label: bool | None = None
    """A span may have several labels."""
    aggregation: Aggregation | None = None
    """For models that label tokens: how tokens become spans; absent: `simple`."""
    truncate: bool | str | None = None
    truncation: bool | None = None


class FoundEntity(msgspec.Struct, frozen=True):
    """A span of an input, in characters: `input[start:end]` is its text."""

    start: int
    end: int
    text: str
    label: str
    score: float


class Extraction(msgspec.Struct, frozen=True, tag_field="object", tag="extraction"):
    """What was found in one input, in order of place."""

    index: int
    entities: list[FoundEntity]


class Extractions(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """The reply of `POST /v1/extract`."""

    id: str
    model: str
    data: list[Extraction]
    usage: Usage
    truncated: list[int] | UnsetType = UNSET
