"""What sentence-transformers' modules do to vectors one by one: Dense, LayerNorm, Normalize, Dropout; free of torch.

The same modules work on the vectors of tokens or on that of the text; `module_input_name` says on which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import ArchitectureUnknown, ModelInvalid
from engine.files.checkpoint import TensorEntry, read_checkpoint
from engine.files.folder import Module, inside, positive, read_optional

STEPS = ("Dense", "LayerNorm", "Normalize", "Dropout")
"""Kinds of modules that are read here."""

Level = Literal["tokens", "text"]
LEVELS: Mapping[str, Level] = {"token_embeddings": "tokens", "sentence_embedding": "text"}
"""By the name that a module's config has for what it reads."""

TORCH = "torch.nn."
TANH = "torch.nn.modules.activation.Tanh"
"""What a Dense module applies that does not say (sentence-transformers)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorStep:
    """One of them."""

    kind: Literal["dense", "norm", "normalize"]
    path: str = ""
    """What the names of its tensors begin with: a folder or file of its own, or a part of the network's checkpoint."""
    width: int = 0
    """Of what it reads."""
    out: int = 0
    """Of what it gives."""
    bias: bool = False
    activation: str = "identity"
    """A name of `engine.layers.activation`."""
    residual: bool = False
    """The input is added, projected where the widths differ."""

    @property
    def in_folder(self) -> bool:
        """Its tensors have a folder or file of their own."""
        return self.path.endswith("/")


def read_step(folder: Path, module: Module, default: Level) -> tuple[VectorStep | None, Level]:
    """What a module does, and to what; None: nothing, as Dropout when it serves. `default` where it does not say."""
    config = read_optional(inside(folder, module.path), "config.json")
    level = _level(module, config, default)
    match module.kind:
        case "Dense":
            return _dense(module, config), level
        case "LayerNorm":
            width = positive(config, "dimension")
            return VectorStep(kind="norm", path=f"{module.path}/", width=width, out=width), level
        case "Normalize":
            return VectorStep(kind="normalize"), level
        case "Dropout":
            return None, level
        case unknown:
            raise ArchitectureUnknown(f"The model uses modules that are not known here: {unknown}.")


def width_after(steps: Sequence[VectorStep], width: int) -> int:
    """The width of what the steps give. Raises ModelInvalid where they do not fit on each other."""
    for step in steps:
        if step.kind == "normalize":
            continue
        if step.width != width:
            raise ModelInvalid(f"{step.path or 'A module'} reads vectors of {step.width} numbers; it gets {width}.")
        width = step.out
    return width


def read_tensors(folder: Path, steps: Sequence[VectorStep]) -> Mapping[str, TensorEntry]:
    """The steps' own weights, named `<path><name>`."""
    return {
        step.path + name: entry
        for step in steps
        if step.in_folder
        for name, entry in read_checkpoint(inside(folder, step.path)).items()
    }


def _level(module: Module, config: Mapping[str, Any], default: Level) -> Level:
    named = config.get("module_input_name")
    if named is None:
        return default
    if named not in LEVELS or config.get("module_output_name") not in (None, named):
        raise ArchitectureUnknown(
            f"The module {module.path} reads {named} and writes {config.get('module_output_name')}; "
            f"known are modules that change one of {', '.join(LEVELS)}."
        )
    return LEVELS[str(named)]


def _dense(module: Module, config: Mapping[str, Any]) -> VectorStep:
    return VectorStep(
        kind="dense",
        path=f"{module.path}/",
        width=positive(config, "in_features"),
        out=positive(config, "out_features"),
        bias=config.get("bias", True) is True,
        activation=_activation(config.get("activation_function", TANH)),
        residual=config.get("use_residual") is True,
    )


def _activation(dotted: object) -> str:
    """`torch.nn.modules.activation.Tanh` is `tanh`; code of other packages is not run."""
    if dotted is None:
        return "identity"
    if not isinstance(dotted, str) or not dotted.startswith(TORCH):
        raise ArchitectureUnknown(f"A Dense module's activation is {dotted!r}; only those of {TORCH}* are known here.")
    return dotted.rsplit(".", 1)[-1].lower()
