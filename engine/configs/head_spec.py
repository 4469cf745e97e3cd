"""What a model folder says of its heads; free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.files.checkpoint import TensorEntry


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """One head: what it gives, how it is built, and from which tensors."""

    output: str
    """The key of its results in a row, such as `dense`."""
    kind: str
    """Names its builder in `engine.heads`."""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """What a folder says of its heads."""

    specs: tuple[HeadSpec, ...]
    dimensions: int
    """Of its dense vectors; of a model that gives none, of what it gives."""
    normalize: bool = False
    """Its dense vectors have length 1."""
    tensors: Mapping[str, TensorEntry] = field(default_factory=dict)
    """Of files beside the network's checkpoint: `2_Dense/linear.weight`."""
    prefix: str | None = None
    """Of the body's tensors, where the heads' lie beside them; None: the family's own."""
    longest: int | None = None
    """Tokens of a text, where it is not the table of positions that limits them."""
