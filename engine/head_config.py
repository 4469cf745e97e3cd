"""Which heads a model folder has: by its special files, by the kinds of `modules.json`, by the top of its architecture.

Free of torch. Every reader looks at a folder and either knows it, and says what heads it has, or gives None. The first
that knows it has the word; whatever nobody knows is refused by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.architectures import Architecture
from engine.checkpoint import TensorEntry
from engine.errors import ArchitectureUnknown
from engine.folder import Module, inside, positive, read_object
from engine.head_spec import HeadSpec
from engine.pooling_config import read_pooling

MODULES = ("Transformer", "Pooling", "Normalize")
"""The sentence-transformers modules that are known, in the only order that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """What a reader looks at."""

    path: Path
    network: Path
    """Where the network and its tokenizer lie."""
    modules: tuple[Module, ...]
    """Of `modules.json`; empty without it."""
    architecture: Architecture
    config: Mapping[str, Any]
    """The network's `config.json`, under the common names of its keys."""
    settings: Mapping[str, Any]
    """`config_sentence_transformers.json`; empty without it."""
    tensors: Mapping[str, TensorEntry]
    """The network's checkpoint."""

    @property
    def kinds(self) -> list[str]:
        """Of its modules."""
        return [module.kind for module in self.modules]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """What a folder says of its heads."""

    specs: tuple[HeadSpec, ...]
    dimensions: int
    """Of its dense vectors; the network's width where it gives none."""
    normalize: bool = False
    """Its dense vectors have length 1."""
    tensors: Mapping[str, TensorEntry] = field(default_factory=dict)
    """Of files beside the network's checkpoint: `2_Dense/linear.weight`."""


Reader = Callable[[ModelFolder], Heads | None]


def read_heads(folder: ModelFolder) -> Heads:
    """The heads of a folder. Raises ArchitectureUnknown where no reader knows it."""
    for reader in READERS:
        if (heads := reader(folder)) is not None:
            return heads
    kinds = ", ".join(folder.kinds)
    raise ArchitectureUnknown(f"The model's modules are {kinds}; no head that is known here goes with them.")


def pooled(folder: ModelFolder) -> Heads | None:
    """One vector per text; without `modules.json` the mean of its tokens' (sentence-transformers)."""
    if unknown := [kind for kind in folder.kinds if kind not in MODULES]:
        raise ArchitectureUnknown(f"The model uses modules that are not known here: {', '.join(unknown)}.")
    if folder.kinds not in ([], list(MODULES[:2]), list(MODULES)):
        raise ArchitectureUnknown(
            f"The model's modules are {', '.join(folder.kinds)}; known are {', '.join(MODULES)}, in that order."
        )
    pooling = "mean"
    if folder.modules:
        config = read_object(inside(folder.path, folder.modules[1].path), "config.json")
        pooling = read_pooling(config, has_prompts=any((folder.settings.get("prompts") or {}).values()))
    normalize = "Normalize" in folder.kinds
    return Heads(
        specs=(HeadSpec("dense", "pooled", {"pooling": pooling, "normalize": normalize}),),
        dimensions=positive(folder.config, "hidden_size"),
        normalize=normalize,
    )


SPECIAL_FILES: tuple[Reader, ...] = ()
"""Readers that know a folder by a file that no other model has."""
MODULE_KINDS: tuple[Reader, ...] = ()
"""Readers that know a folder by the kinds of its modules."""
TOPS: tuple[Reader, ...] = ()
"""Readers that know a folder by what its architecture has on its body, where no module says what to do with it."""

READERS: tuple[Reader, ...] = (*SPECIAL_FILES, *MODULE_KINDS, *TOPS, pooled)
