"""What a model folder says of itself, read without loading it: network, pooling, limits, prompts, size.

Free of torch, so that the command line can look at a model anywhere. Whatever is not understood is refused by name: a
model that is served almost right is worse than one that is not served.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.architectures import architecture_of, common_config, first_position
from engine.checkpoint import FLOATS, TensorEntry, read_checkpoint
from engine.errors import ArchitectureUnknown, CheckpointCorrupt, FolderIncomplete, ModelInvalid
from engine.head_spec import HeadSpec
from engine.pooling_config import read_pooling

MODULES = ("Transformer", "Pooling", "Normalize")
"""The sentence-transformers modules that are known, in the only order that is."""

LIMIT_FILES = tuple(
    f"sentence_{kind}_config.json" for kind in ("bert", "roberta", "distilbert", "camembert", "xlm-roberta")
)
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
    max_tokens: int
    """Longest input, special tokens included."""
    normalize: bool
    """Dense vectors have length 1."""
    matryoshka: tuple[int, ...]
    """Widths that a vector may be cut to; empty where the model was not trained for it."""
    prompts: Mapping[str, str]
    default_prompt: str
    lowercase: bool
    """Texts are lower-cased before they are tokenized, whatever the tokenizer does."""
    weight_bytes: int
    """As stored."""
    config: Mapping[str, Any]
    """The network's config.json, under the common names of its keys."""
    tensors: Mapping[str, TensorEntry]

    @property
    def outputs(self) -> tuple[str, ...]:
        """What may be asked of it."""
        return tuple(head.output for head in self.heads)

    def resident_bytes(self, itemsize: int) -> int:
        """Bytes of the weights in memory, `itemsize` bytes a number: an upper bound, for a few tensors go unused."""
        return itemsize * sum(entry.elements for entry in self.tensors.values() if entry.dtype in FLOATS)


def describe(folder: Path) -> ModelSpec:
    """Read a model folder: its configs and the headers of its weights."""
    modules = _read_modules(folder)
    network = _inside(folder, modules["Transformer"])
    config = _read_json(network, "config.json")
    name, architecture = architecture_of(config)
    config = common_config(config, architecture.family)
    dimensions = _positive(config, "hidden_size")
    settings = _read_optional(folder, "config_sentence_transformers.json")
    limits = next((found for name in LIMIT_FILES if (found := _read_optional(network, name))), {})
    if not (network / "tokenizer.json").is_file():
        raise FolderIncomplete(f"{network} has no tokenizer.json. Save the model's fast tokenizer beside its weights.")
    prompts = {str(name): str(text) for name, text in (settings.get("prompts") or {}).items()}
    pooling = "mean"
    if "Pooling" in modules:
        pooling = read_pooling(
            _read_json(_inside(folder, modules["Pooling"]), "config.json"), has_prompts=any(prompts.values())
        )
    tensors = read_checkpoint(network)
    return ModelSpec(
        folder=network,
        architecture=name,
        family=architecture.family,
        heads=(HeadSpec("dense", "pooled", {"pooling": pooling, "normalize": "Normalize" in modules}),),
        dimensions=dimensions,
        max_tokens=_max_tokens(config, architecture.family, limits, _read_optional(network, "tokenizer_config.json")),
        normalize="Normalize" in modules,
        matryoshka=_matryoshka(config, dimensions),
        prompts=prompts,
        default_prompt=prompts.get(settings.get("default_prompt_name") or "", ""),
        lowercase=bool(limits.get("do_lower_case")),
        weight_bytes=sum(entry.nbytes for entry in tensors.values()),
        config=config,
        tensors=tensors,
    )


def _read_modules(folder: Path) -> Mapping[str, str]:
    """Path of each module of `modules.json` by its kind. Without that file: a bare network, pooled by mean."""
    if not (folder / "modules.json").is_file():
        return {"Transformer": ""}
    listed = _parse(folder / "modules.json")
    try:
        modules = [(str(module["type"]), str(module["path"])) for module in listed]
    except (TypeError, KeyError) as error:
        raise ModelInvalid(f"{folder / 'modules.json'} is not a list of modules with a type and a path.") from error
    kinds = [name.rsplit(".", 1)[-1] if name.startswith("sentence_transformers.") else name for name, _ in modules]
    if unknown := [kind for kind in kinds if kind not in MODULES]:
        raise ArchitectureUnknown(f"The model uses modules that are not known here: {', '.join(unknown)}.")
    if kinds not in (list(MODULES[:2]), list(MODULES)):
        raise ArchitectureUnknown(
            f"The model's modules are {', '.join(kinds)}; known are {', '.join(MODULES)}, in that order."
        )
    return dict(zip(kinds, (path for _, path in modules), strict=True))


def _max_tokens(config: Mapping[str, Any], family: str, limits: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> int:
    """The least of what the position table, the tokenizer and sentence-transformers' own setting allow."""
    allowed = [_positive(config, "max_position_embeddings") - first_position(config, family)]
    claims = (limits.get("max_seq_length"), tokenizer.get("model_max_length"))
    return min(allowed + [int(claim) for claim in claims if isinstance(claim, int | float) and 0 < claim < NO_LIMIT])


def _matryoshka(config: Mapping[str, Any], dimensions: int) -> tuple[int, ...]:
    """Trained widths, narrowest first; a config that says only `is_matryoshka` allows every width."""
    widths = config.get("matryoshka_dimensions")
    if isinstance(widths, list) and all(isinstance(width, int) and 0 < width <= dimensions for width in widths):
        return tuple(sorted(set(widths)))
    return tuple(range(1, dimensions + 1)) if config.get("is_matryoshka") is True else ()


def _positive(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise ModelInvalid(f"config.json says {key} is {value!r}; a positive number is needed.")
    return value


def _inside(folder: Path, part: str) -> Path:
    """A module's folder; it may be the model folder itself, and nothing outside of it."""
    if Path(part).is_absolute() or ".." in Path(part).parts:
        raise ModelInvalid(f"modules.json points outside of the model folder: {part!r}.")
    return folder / part


def _read_json(folder: Path, name: str) -> Mapping[str, Any]:
    if not (folder / name).is_file():
        raise FolderIncomplete(f"{folder} has no {name}.")
    parsed = _parse(folder / name)
    if not isinstance(parsed, dict):
        raise ModelInvalid(f"{folder / name} is not a JSON object.")
    return parsed


def _read_optional(folder: Path, name: str) -> Mapping[str, Any]:
    return _read_json(folder, name) if (folder / name).is_file() else {}


def _parse(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointCorrupt(f"{file} is not JSON.") from error
