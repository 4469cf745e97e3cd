"""What a look at a model's source found, for the register: nothing of it where nobody looked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import msgspec

Task = Literal["embed", "rerank", "classify", "extract"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A model as its own files describe it."""

    architecture: str | None = None
    family: str | None = None
    native: bool | None = None
    """Run by this engine's own forward; False: by transformers, padded."""
    tasks: tuple[Task, ...] = ()
    """What it can be asked to do."""
    outputs: tuple[str, ...] = ()
    """What it says of a text or of a token, such as `dense`."""
    labels: tuple[str, ...] = ()
    """Its own, in the order of their logits."""
    prompts: tuple[str, ...] = ()
    """Names of its own prompts."""
    added_tokens: int = 0
    """At most so many does it read with an input beside the input's own: of prompts, templates and expansions."""
    weight_bytes: int | None = None
    """As stored."""
    base: str | None = None
    """Of a low-rank adapter: the id of the registered model that it changes, which nodes hold once for all of them."""
    adapter: str | None = None
    """And where the adapter comes from: a hub id, with `@revision` where it matters, or a folder on the nodes."""


NOTHING_KNOWN = ModelFacts()


def to_row(facts: ModelFacts) -> dict[str, Any]:
    """As the database keeps it."""
    return asdict(facts)


def from_row(stored: Mapping[str, Any] | None) -> ModelFacts:
    """What `to_row` kept; rows of before there were facts have none."""
    return NOTHING_KNOWN if stored is None else msgspec.convert(stored, ModelFacts)
