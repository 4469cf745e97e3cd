"""What comes after a body, once for all families: pooling, normalising, scoring."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.head_spec import HeadSpec
from engine.heads.dense import DenseHead
from engine.heads.part import Head
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True)
class HeadKind:
    """How to build one kind of head; parameters are left unset."""

    build: Callable[[HeadSpec, Mapping[str, Any]], Head]
    """From what the folder says of the head, and the network's config."""
    keys: Callable[[HeadSpec], KeyMap]
    """How the checkpoint names its tensors."""


HEADS: Mapping[str, HeadKind] = {
    "pooled": HeadKind(lambda spec, config: DenseHead(spec), lambda spec: KeyMap()),  # noqa: ARG005
}
"""By `HeadSpec.kind`."""
