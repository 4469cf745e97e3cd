"""From checkpoint tensors to a model's parameters, strictly: each used once, none missing, what is left out declared.

A family's names differ from its checkpoints' by a `KeyMap`, which is data.
"""

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice

import torch
from torch import Tensor

from engine.errors import CheckpointCorrupt, SourceNotFound, WeightMismatch
from engine.files.checkpoint import FLOATS, TensorEntry

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

PARTS_AT_ONCE = 1024
"""Of preadv(2): IOV_MAX."""
FIRST_READ = 512 * 1024 * 1024
"""Bytes of the first call that reads: whoever parses the tokenizer meanwhile keeps the interpreter."""
STEP = 64 * 1024 * 1024
"""Bytes of each call after it, so that `fill` can tell how far it is."""
NAMED_AT_MOST = 8
"""Tensor names in one error message."""


@dataclass(frozen=True, slots=True)
class KeyMap:
    """How a family's checkpoints name what its modules hold."""

    prefix: str = ""
    """Put before every name by checkpoints of a model with a head; taken off where present."""
    renames: tuple[tuple[str, str], ...] = ()
    """Parts of names, replaced in this order."""
    fused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """A module of ours by name -> the modules of the checkpoint whose rows it stacks.

    Some checkpoints have them stacked already, under our name once it is renamed."""
    ignored: tuple[str, ...] = ()
    """Patterns of tensor names, less the prefix, that a checkpoint may hold and the family does not use."""


@dataclass(frozen=True, slots=True)
class Target:
    """Rows of a parameter that one checkpoint tensor fills: part `part` of `parts` equal ones."""

    name: str
    part: int = 0
    parts: int = 1


@torch.inference_mode()
def fill(
    parameters: Mapping[str, Tensor],
    tensors: Mapping[str, TensorEntry],
    targets: Mapping[str, Target],
    reading: Callable[[], object] = lambda: None,
    read: Callable[[int], object] = lambda _: None,
) -> None:
    """Read every target's tensor, in the order of the files, straight into its parameter where the types are one.

    `reading` is called when a file is about to be read, and `read` with how many bytes of it came.
    """
    reader = _Reader(read)
    places = sorted(targets, key=lambda name: (str(tensors[name].file), tensors[name].offset))
    for file, names in groupby(places, key=lambda name: tensors[name].file):
        wanted = [(tensors[name], rows_of(parameters, targets[name])) for name in names]
        try:
            with file.open("rb", buffering=0) as stream:
                reading()
                reader.fill(stream.fileno(), wanted)
        except FileNotFoundError as error:
            raise SourceNotFound(f"{file} has disappeared.") from error
        except EOFError as error:
            raise CheckpointCorrupt(f"{file.name} was cut off while it was read.") from error
        except OSError as error:
            raise CheckpointCorrupt(f"{file.name} can not be read: {error}") from error


def match(
    tensors: Mapping[str, TensorEntry], shapes: Mapping[str, tuple[int, ...]], keys: Mapping[str, KeyMap]
) -> Mapping[str, Target]:
    """Where each tensor goes: `keys` has the map of every part of the network, by the prefix of its parameters' names.

    The first part that has a place for a tensor gets it. `WeightMismatch` names all that are missing, unused or of
    another shape.
    """
    targets: dict[str, Target] = {}
    taken: set[Target] = set()
    stacked: dict[str, int] = {}  # parts of each parameter, as the checkpoint has them
    unused, wrong = [], []
    for name, entry in tensors.items():
        target = next((found for part in keys.items() if (found := target_of(name, *part)).name in shapes), None)
        if target is None or target in taken or stacked.setdefault(target.name, target.parts) != target.parts:
            if not any(is_ignored(name, part) for part in keys.values()):
                unused.append(name)
            continue
        shape = shapes[target.name]
        rows = (shape[0] // target.parts, *shape[1:]) if target.parts > 1 else shape
        if entry.dtype not in FLOATS or entry.shape != rows:
            wrong.append(f"{name} ({entry.dtype} {list(entry.shape)})")
        else:
            targets[name] = target
            taken.add(target)
    missing = (
        []
        if wrong
        else [
            f"{name}[{part}]" if count > 1 else name
            for name, asked in _parts(shapes, keys)
            for count in (stacked.get(name, asked),)
            for part in range(count)
            if Target(name, part, count) not in taken
        ]
    )
    problems = (("lacks", missing), ("has unknown", unused), ("has misshapen", wrong))
    if said := "; ".join(f"{verb} {_named(names)}" for verb, names in problems if names):
        raise WeightMismatch(f"The checkpoint {said}.")
    return targets


def is_ignored(name: str, keys: KeyMap) -> bool:
    """Whether a checkpoint may hold a tensor that is not used."""
    return any(re.fullmatch(pattern, name.removeprefix(keys.prefix)) for pattern in keys.ignored)


def target_of(name: str, part: str, keys: KeyMap) -> Target:
    """Where a part of the network would have a tensor of this name."""
    name = name.removeprefix(keys.prefix)
    for old, new in keys.renames:
        name = name.replace(old, new)
    for fused, pieces in keys.fused.items():
        for place, piece in enumerate(pieces):
            if f".{piece}." in name:
                return Target(part + name.replace(f".{piece}.", f".{fused}."), place, len(pieces))
    return Target(part + name)


def _parts(shapes: Mapping[str, tuple[int, ...]], keys: Mapping[str, KeyMap]) -> Iterator[tuple[str, int]]:
    """Each parameter with the number of tensors that fill it."""
    for name in shapes:
        part = max((part for part in keys if name.startswith(part)), key=len, default="")
        fused = keys[part].fused.items() if part in keys else ()
        yield name, next((len(pieces) for module, pieces in fused if f".{module}." in name), 1)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return ", ".join(sorted(names)[:NAMED_AT_MOST]) + more


def rows_of(parameters: Mapping[str, Tensor], target: Target) -> Tensor:
    """The part of a parameter that a tensor fills."""
    parameter = parameters[target.name]
    return parameter.chunk(target.parts)[target.part] if target.parts > 1 else parameter


class _Reader:
    """Fills tensors from files, and tells how many bytes came."""

    def __init__(self, read: Callable[[int], object]) -> None:
        self._read = read
        self._most = FIRST_READ

    def fill(self, file: int, wanted: Sequence[tuple[TensorEntry, Tensor]]) -> None:
        """The rows of every tensor. Neighbours in the file that need no conversion are read together."""
        run: list[memoryview] = []
        start = end = 0
        for entry, rows in wanted:
            stored = DTYPES[entry.dtype]
            straight = rows.device.type == "cpu" and rows.dtype == stored
            if run and (not straight or entry.offset != end):
                self._run(file, start, run)
                run = []
            if straight:
                start = start if run else entry.offset
                end = entry.offset + entry.nbytes
                run.append(_bytes(rows))
            else:
                converted = torch.empty(entry.shape, dtype=stored)
                self._run(file, entry.offset, [_bytes(converted)])
                rows.copy_(converted)
        self._run(file, start, run)

    def _run(self, file: int, offset: int, parts: Sequence[memoryview]) -> None:
        """Fill the parts, one after the other, from the file at `offset`."""
        left = deque(part for part in parts if part)
        while left:
            count = os.preadv(file, list(self._next(left)), offset)
            if not count:
                raise EOFError
            self._most = STEP
            self._read(count)
            offset += count
            while left and count >= len(left[0]):
                count -= len(left.popleft())
            if count:
                left[0] = left[0][count:]

    def _next(self, left: Iterable[memoryview]) -> Iterator[memoryview]:
        """The parts of one call."""
        room = self._most
        for part in islice(left, PARTS_AT_ONCE):
            yield part[:room]
            room -= len(part)
            if room <= 0:
                return


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.reshape(-1).view(torch.uint8).numpy().data
