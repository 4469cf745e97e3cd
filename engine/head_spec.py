"""What a model folder says of its heads; free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """One head: what it gives, how it is built, and from which tensors."""

    output: str
    """The key of its results in a row, such as `dense`."""
    kind: str
    """Names its builder in `engine.heads`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
