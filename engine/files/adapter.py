"""What a low-rank adapter (LoRA, Hu et al. 2021) consists of: a folder of PEFT's, or one task of Jina v3; no torch.

An adapter adds `scale * up @ down` to weights of its base. PEFT keeps `adapter_config.json` and
`adapter_model.safetensors`, whose names are the base's modules after `base_model.model.`; Jina v3 keeps the adapters of
all its tasks, stacked, beside each weight. Whatever an adapter asks for and is not done is refused by name.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import ArchitectureUnknown, FolderIncomplete, ModelInvalid
from engine.files.checkpoint import read_header
from engine.files.folder import read_object
from engine.files.pickled import read_pickled
from engine.files.tensor_entry import FLOATS, TensorEntry

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")

WITHOUT: Mapping[str, tuple[object, ...]] = {
    "use_dora": (False, None),
    "bias": ("none", None),
    "modules_to_save": ([], None),
    "fan_in_fan_out": (False, None),
    "lora_bias": (False, None),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "layer_replication": (None,),
    "trainable_token_indices": (None, [], {}),
    "target_parameters": (None, []),
    "use_qalora": (False, None),
    "arrow_config": (None,),
    "alora_invocation_tokens": (None,),
    "megatron_config": (None,),
    "init_lora_weights": (True, False, None, "gaussian", "eva", "orthogonal"),
}
"""Options of PEFT with the values under which an adapter is no more than products; others change the base as well."""
ROOT = "base_model.model."
LINEAR = (".lora_A.weight", ".lora_B.weight")
EMBEDDING = (".lora_embedding_A", ".lora_embedding_B")

STACKED = (".parametrizations.weight.0.lora_A", ".parametrizations.weight.0.lora_B")
"""Of Jina v3."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """What is added to one module of the base."""

    module: str
    """As the base's checkpoints name it."""
    first: TensorEntry
    second: TensorEntry
    """Two matrices: of a projection (R, in) and (out, R); of a table (R, V) and (H, R), or (V, R) and (R, H)."""
    scale: float


def read_adapter(folder: Path) -> tuple[LowRank, ...]:
    """An adapter as PEFT saves it."""
    config = read_object(folder, CONFIG)
    if (kind := config.get("peft_type", "LORA")) != "LORA":
        raise ArchitectureUnknown(f"The adapter is {kind}; only LORA is known here.")
    wrong = [name for name, plain in WITHOUT.items() if config.get(name, plain[0]) not in plain]
    if wrong:
        said = ", ".join(f"{name} {config[name]!r}" for name in wrong)
        raise ArchitectureUnknown(f"The adapter's {CONFIG} says {said}, which is not known here.")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, int | float):
        raise ModelInvalid(f"{CONFIG} says r {rank!r} and lora_alpha {alpha!r}; two numbers are needed.")
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    found = _paired(_read_weights(folder), scale)
    if wrong_rank := [pair.module for pair in found if rank not in (pair.first.shape[0], pair.second.shape[0])]:
        raise ModelInvalid(f"The adapter's rank is {rank} and that of {wrong_rank[0]} another.")
    return found


def tasks_of(config: Mapping[str, Any], tensors: Mapping[str, TensorEntry]) -> tuple[str, ...]:
    """The tasks that a model has adapters for in its own checkpoint: Jina v3."""
    named = config.get("lora_adaptations")
    if not isinstance(named, list) or not any(name.endswith(STACKED[0]) for name in tensors):
        return ()
    return tuple(map(str, named))


def read_task(config: Mapping[str, Any], tensors: Mapping[str, TensorEntry], task: str) -> tuple[LowRank, ...]:
    """One task's adapter out of the model's own checkpoint, in which all tasks' are stacked: (tasks, …)."""
    tasks = tasks_of(config, tensors)
    if task not in tasks:
        raise ModelInvalid(f"The model has no adapter for {task!r}; it has {', '.join(tasks) or 'none'}.")
    rank, alpha = config.get("lora_rank"), config.get("lora_alpha", 1)
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, int | float):
        raise ModelInvalid(f"config.json says lora_rank {rank!r} and lora_alpha {alpha!r}; two numbers are needed.")
    first, second = STACKED
    modules = [name.removesuffix(first) for name in tensors if name.endswith(first)]
    if lone := [module for module in modules if module + second not in tensors]:
        raise ModelInvalid(f"The checkpoint has lora_A of {lone[0]} without lora_B.")
    at, of = tasks.index(task), len(tasks)
    return tuple(
        LowRank(
            module,
            _slice(module + first, tensors[module + first], at, of),
            _slice(module + second, tensors[module + second], at, of),
            alpha / rank,
        )
        for module in modules
    )


def _read_weights(folder: Path) -> Mapping[str, TensorEntry]:
    for name, read in zip(WEIGHTS, (read_header, read_pickled), strict=True):
        if (folder / name).is_file():
            return read(folder / name)
    raise FolderIncomplete(f"{folder} has no adapter's weights: neither {' nor '.join(WEIGHTS)}.")


def _paired(tensors: Mapping[str, TensorEntry], scale: float) -> tuple[LowRank, ...]:
    left = dict(tensors)
    pairs: list[LowRank] = []
    for name in tensors:
        for first, second in (LINEAR, EMBEDDING):
            if name.endswith(first) and (other := name.removesuffix(first) + second) in left:
                module = name.removesuffix(first).removeprefix(ROOT)
                pairs.append(LowRank(module, left.pop(name), left.pop(other), scale))
    if left:
        raise ArchitectureUnknown(f"The adapter has {_some(sorted(left))}, which is no product of two matrices.")
    if not pairs:
        raise ModelInvalid("The adapter has no weights.")
    if wrong := [pair.module for pair in pairs if not (_is_matrix(pair.first) and _is_matrix(pair.second))]:
        raise ArchitectureUnknown(f"The adapter's weights of {wrong[0]} are no matrices of floating-point numbers.")
    return tuple(pairs)


def _is_matrix(entry: TensorEntry) -> bool:
    return len(entry.shape) == 2 and entry.dtype in FLOATS


def _slice(name: str, entry: TensorEntry, place: int, count: int) -> TensorEntry:
    if len(entry.shape) != 3 or entry.shape[0] != count or entry.dtype not in FLOATS:
        raise ModelInvalid(f"{name} is {entry.dtype} {list(entry.shape)}; it has no matrix for each task.")
    size = entry.nbytes // count
    return replace(entry, shape=entry.shape[1:], offset=entry.offset + place * size, nbytes=size)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
