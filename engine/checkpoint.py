"""What a checkpoint holds, read from the safetensors headers alone: names, types, shapes, sizes; no tensor is touched.

Format: 8 bytes little-endian header length N, N bytes of JSON `{name: {dtype, shape, data_offsets}}`, then the data
(github.com/huggingface/safetensors, "Format"). Every claim of a header is checked against the file first.
"""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import CheckpointCorrupt, FolderIncomplete

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library."""

BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 8),
}
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor as its file's header describes it."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    """Of its first byte in the file."""
    nbytes: int

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def read_checkpoint(folder: Path) -> Mapping[str, TensorEntry]:
    """Every tensor of the folder's checkpoint, in one file or many, by name."""
    if (folder / INDEX).is_file():
        return _read_indexed(folder)
    if (folder / SINGLE).is_file():
        return read_header(folder / SINGLE)
    if any(folder.glob("*.bin")):
        raise FolderIncomplete(
            f"{folder} has pickled weights only. Convert them to {SINGLE}: a pickle can run code and is not loaded."
        )
    raise FolderIncomplete(f"{folder} has no weights: neither {SINGLE} nor {INDEX}.")


def read_header(file: Path) -> Mapping[str, TensorEntry]:
    """Every tensor of one safetensors file, by name."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        prefix = stream.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise CheckpointCorrupt(f"{file.name} is no safetensors file, or was cut off: {size} bytes.")
        header = _parse_object(file, stream.read(length))
    header.pop("__metadata__", None)
    tensors = {name: _entry(file, name, claim, 8 + length, size) for name, claim in header.items()}
    if sum(entry.nbytes for entry in tensors.values()) != size - 8 - length:
        raise CheckpointCorrupt(f"{file.name}: the tensors of the header do not fill the file's {size} bytes.")
    return tensors


def _read_indexed(folder: Path) -> Mapping[str, TensorEntry]:
    index = folder / INDEX
    weight_map = _parse_object(index, index.read_bytes()).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointCorrupt(f"{INDEX} has no weight_map.")
    tensors: dict[str, TensorEntry] = {}
    for name in sorted({str(file) for file in weight_map.values()}):
        if Path(name).name != name:
            raise CheckpointCorrupt(f"{INDEX} names {name!r}, which is not a file beside it.")
        if not (folder / name).is_file():
            raise FolderIncomplete(f"{folder} lacks {name}, which {INDEX} names.")
        for tensor, entry in read_header(folder / name).items():
            if weight_map.get(tensor) != name:
                raise CheckpointCorrupt(f"{name} holds {tensor}, which {INDEX} does not place there.")
            tensors[tensor] = entry
    if lost := sorted(set(weight_map) - set(tensors)):
        raise CheckpointCorrupt(f"{INDEX} names tensors that no file holds: {', '.join(lost[:5])}.")
    return tensors


def _parse_object(file: Path, raw: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CheckpointCorrupt(f"{file.name}: the header is not JSON.") from error
    if not isinstance(parsed, dict):
        raise CheckpointCorrupt(f"{file.name}: the header is not a JSON object.")
    return parsed


def _entry(file: Path, name: str, claim: object, first: int, size: int) -> TensorEntry:
    match claim:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(end)]} if all(
            isinstance(length, int) and length >= 0 for length in shape
        ):
            entry = TensorEntry(file, dtype, tuple(shape), first + start, end - start)
        case _:
            raise CheckpointCorrupt(f"{file.name}: the header's entry of {name} can not be read.")
    if dtype not in BITS:
        raise CheckpointCorrupt(f"{file.name}: {name} has the unknown type {dtype}.")
    if not 0 <= start <= end <= size - first or entry.elements * BITS[dtype] != 8 * entry.nbytes:
        raise CheckpointCorrupt(f"{file.name}: {name} claims {dtype} {list(shape)} at bytes {start} to {end}.")
    return entry
