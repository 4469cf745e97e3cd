"""What `shoal model inspect` tells: all that a model's files say of it, for people and for programs."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.catalog import ModelSpec
from engine.files.tensor_entry import FLOATS
from engine.tasks.asking import abilities
from shoal.inspection import found

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """A model that could be served."""

    source: str
    architecture: str
    family: str
    native: bool
    """Unpadded, by the engine's own code; else padded, in the library transformers."""
    tasks: tuple[str, ...]
    """What it can be asked to do."""
    outputs: tuple[str, ...]
    dimensions: int | None
    """Of its vectors; None where it makes none."""
    matryoshka: tuple[int, ...]
    """Widths that its vectors may be cut to."""
    normalized: bool
    max_tokens: int
    prompts: dict[str, str]
    default_prompt: str
    adapters: tuple[str, ...]
    """Tasks that it has low-rank adapters of its own for."""
    labels: tuple[str, ...]
    parameters: int
    weight_bytes: int
    bytes_by_type: dict[str, int]
    """As stored, by safetensors' name of the type."""
    resident_bytes: dict[str, int]
    """In memory, at most, by the type that it is served in."""
    files: tuple[str, ...]


def report(source: str, spec: ModelSpec) -> ModelReport:
    """All of it."""
    by_type: dict[str, int] = {}
    for entry in spec.tensors.values():
        by_type[entry.dtype] = by_type.get(entry.dtype, 0) + entry.nbytes
    kept = found(spec)
    return ModelReport(
        source=source,
        architecture=spec.architecture,
        family=spec.family,
        native=spec.native,
        tasks=tuple(abilities(spec)),
        outputs=spec.outputs,
        dimensions=kept["dimensions"],
        matryoshka=spec.matryoshka,
        normalized=spec.normalize,
        max_tokens=spec.max_tokens,
        prompts=dict(spec.prompts),
        default_prompt=spec.default_prompt,
        adapters=spec.tasks,
        labels=kept["facts"].labels,
        parameters=sum(entry.elements for entry in spec.tensors.values() if entry.dtype in FLOATS),
        weight_bytes=spec.weight_bytes,
        bytes_by_type=dict(sorted(by_type.items())),
        resident_bytes={"float32": spec.resident_bytes(4), "bfloat16": spec.resident_bytes(2)},
        files=tuple(sorted({entry.file.name for entry in spec.tensors.values()})),
    )


def lines(told: ModelReport) -> Sequence[tuple[str, object]]:
    """What people read: a name and a value each."""
    return (
        ("source", told.source),
        ("architecture", told.architecture),
        ("family", told.family),
        ("runs", "native, unpadded" if told.native else "in transformers, padded"),
        ("can", told.tasks),
        ("outputs", told.outputs),
        ("dimensions", told.dimensions),
        ("may be cut to", _widths(told.matryoshka)),
        ("vectors of length 1", told.normalized),
        ("input limit", f"{told.max_tokens} tokens"),
        ("prompts", tuple(f"{name}: {text!r}" for name, text in told.prompts.items())),
        ("default prompt", repr(told.default_prompt) if told.default_prompt else None),
        ("adapters of its own", told.adapters),
        ("labels", told.labels),
        ("parameters", f"{told.parameters:,}"),
        ("weights", _mib(told.weight_bytes)),
        ("stored as", tuple(f"{kind} {_mib(size)}" for kind, size in told.bytes_by_type.items())),
        ("in memory", tuple(f"{kind} {_mib(size)}" for kind, size in told.resident_bytes.items())),
        ("files", told.files),
    )


def _widths(widths: Sequence[int]) -> object:
    consecutive = len(widths) > 2 and widths[-1] - widths[0] == len(widths) - 1
    return f"{widths[0]} to {widths[-1]}" if consecutive else tuple(widths)


def _mib(size: int) -> str:
    return f"{size / MIB:,.1f} MiB"
