"""What a server's replies come to."""

from dataclasses import dataclass, field

Vector = list[float]


@dataclass(frozen=True, slots=True)
class SparseVector:
    """The dimensions that are not 0, ascending."""

    indices: list[int]
    values: list[float]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector of every kind that was asked for, for every text, in the order of the texts."""

    dense: list[Vector] = field(default_factory=list)
    sparse: list[SparseVector] = field(default_factory=list)
    multi: list[list[Vector]] = field(default_factory=list)
    """A vector for each token that counts."""
    tokens: int = 0
    """That the model processed."""
    truncated: list[int] = field(default_factory=list)
    """Places of the texts that were cut at the model's limit."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One document's score; `index` is its place among those that were sent."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The documents, best first."""

    results: list[Ranked] = field(default_factory=list)
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Label:
    """How well a label fits."""

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Classifications:
    """For every text its labels, best first."""

    labels: list[list[Label]] = field(default_factory=list)
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Entity:
    """A span: `text[start:end]` of what was sent is its text."""

    start: int
    end: int
    text: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Extractions:
    """For every text its spans, in order of place."""

    entities: list[list[Entity]] = field(default_factory=list)
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """What the server says of a model."""

    id: str
    type: str
    outputs: tuple[str, ...]
    dimensions: int | None
    """Of its dense vectors, or of a token's, where it has no dense ones."""
    max_input_tokens: int | None
