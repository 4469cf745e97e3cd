"""What a model folder says of itself, read without loading it: network, heads, limits, prompts, size.

Free of torch, so that the command line can look at a model anywhere. Whatever is not understood is refused by name: a
model that is served almost right is worse than one that is not served.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.architectures import FALLBACK, first_position
from engine.configs.head_spec import HeadSpec
from engine.configs.heads import read_heads
from engine.configs.network import network_config
from engine.errors import FolderIncomplete
from engine.fallback import recognise
from engine.files.adapter import tasks_of
from engine.files.checkpoint import FLOATS, TensorEntry, read_checkpoint
from engine.files.folder import (
    NETWORKS,
    ModelFolder,
    Module,
    inside,
    positive,
    read_modules,
    read_optional,
    routed,
)

LIMIT_FILES = tuple(
    f"sentence_{kind}_config.json" for kind in ("bert", "roberta", "distilbert", "camembert", "xlm-roberta")
)
UNTYPED = "TokenizersBackend"
NO_LIMIT = 1_000_000
"""Tokenizers write 1e30 where they know no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model as its folder describes it."""

    folder: Path
    """Where the network and its tokenizer lie: the model folder, or its Transformer module's."""
    architecture: str
    family: str
    heads: tuple[HeadSpec, ...]
    dimensions: int
    """Of its dense vectors; of a model that gives none, of what it gives."""
    max_tokens: int
    """Longest input, special tokens included."""
    normalize: bool
    """Dense vectors have length 1."""
    matryoshka: tuple[int, ...]
    """Widths that a vector may be cut to; empty where the model was not trained for it."""
    prompts: Mapping[str, str]
    default_prompt: str
    typed: bool
    """The network is told which of two texts a token is of, by the word of its tokenizer's files."""
    tasks: tuple[str, ...]
    """Those that its own checkpoint has adapters for (Jina v3)."""
    lowercase: bool
    """Texts are lower-cased before they are tokenized, whatever the tokenizer does."""
    weight_bytes: int
    """As stored."""
    config: Mapping[str, Any]
    """The network's config.json, under the common names of its keys."""
    tensors: Mapping[str, TensorEntry]
    prefix: str | None
    """Of the network's tensors; None: the family's own."""

    @property
    def native(self) -> bool:
        """Unpadded, by our own code; else in the library transformers."""
        return self.family != FALLBACK

    @property
    def outputs(self) -> tuple[str, ...]:
        """What may be asked of it."""
        return tuple(head.output for head in self.heads)

    def resident_bytes(self, itemsize: int) -> int:
        """Bytes of the weights in memory, `itemsize` bytes a number: an upper bound, for a few tensors go unused."""
        return itemsize * sum(entry.elements for entry in self.tensors.values() if entry.dtype in FLOATS)


def describe(folder: Path) -> ModelSpec:
    """Read a model folder: its configs and the headers of its weights."""
    queries, modules = routed(folder, read_modules(folder))
    network = _network(folder, modules)
    name, architecture, config = recognise(network_config(network))
    settings = read_optional(folder, "config_sentence_transformers.json")
    limits = next((found for name in LIMIT_FILES if (found := read_optional(network, name))), {})
    if not (network / "tokenizer.json").is_file():
        raise FolderIncomplete(f"{network} has no tokenizer.json. Save the model's fast tokenizer beside its weights.")
    tokenizer = read_optional(network, "tokenizer_config.json")
    named = settings.get("prompts") or config.get("task_instructions") or {}
    prompts = {str(name): str(text) for name, text in named.items()}
    checkpoint = read_checkpoint(network)
    heads = read_heads(
        ModelFolder(
            path=folder,
            network=network,
            modules=modules,
            queries=queries,
            architecture=architecture,
            config=config,
            settings=settings,
            tensors=checkpoint,
        )
    )
    tensors = {**checkpoint, **heads.tensors}
    return ModelSpec(
        folder=network,
        architecture=name,
        family=architecture.family,
        heads=heads.specs,
        dimensions=heads.dimensions,
        max_tokens=_max_tokens(config, architecture.family, limits, tokenizer, heads.longest),
        normalize=heads.normalize,
        prefix=heads.prefix,
        matryoshka=_matryoshka(config, heads.dimensions),
        prompts=prompts,
        default_prompt=prompts.get(settings.get("default_prompt_name") or "", ""),
        typed=_is_typed(tokenizer),
        tasks=tasks_of(config, checkpoint),
        lowercase=bool(limits.get("do_lower_case")),
        weight_bytes=sum(entry.nbytes for entry in tensors.values()),
        config=config,
        tensors=tensors,
    )


def _network(folder: Path, modules: Sequence[Module]) -> Path:
    """Where the network lies: in its module's folder, or in the model's."""
    return inside(folder, next((module.path for module in modules if module.kind in NETWORKS), ""))


def _max_tokens(
    config: Mapping[str, Any],
    family: str,
    limits: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
    longest: int | None,
) -> int:
    """The least of what the position table, the tokenizer and sentence-transformers' own setting allow."""
    allowed = [longest or positive(config, "max_position_embeddings") - first_position(config, family)]
    claims = (limits.get("max_seq_length"), tokenizer.get("model_max_length"))
    return min(allowed + [int(claim) for claim in claims if isinstance(claim, int | float) and 0 < claim < NO_LIMIT])


def _is_typed(tokenizer: Mapping[str, Any]) -> bool:
    """Whether the reference would pass types of tokens; transformers 5 does for tokenizers of a named class only."""
    named = tokenizer.get("model_input_names")
    return "token_type_ids" in named if named else tokenizer.get("tokenizer_class") != UNTYPED


def _matryoshka(config: Mapping[str, Any], dimensions: int) -> tuple[int, ...]:
    """Trained widths, narrowest first; a config that says only `is_matryoshka` allows every width."""
    widths = config.get("matryoshka_dimensions")
    if isinstance(widths, list) and all(isinstance(width, int) and 0 < width <= dimensions for width in widths):
        return tuple(sorted(set(widths)))
    return tuple(range(1, dimensions + 1)) if config.get("is_matryoshka") is True else ()
