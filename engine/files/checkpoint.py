"""What a checkpoint holds, by what its files say of themselves: names, types, shapes, sizes; no tensor is touched.

Safetensors: 8 bytes little-endian header length N, N bytes of JSON `{name: {dtype, shape, data_offsets}}`, then data
(github.com/huggingface/safetensors, "Format"). Every claim of a header is checked against the file first. Torch's own
files (`pickled.py`) are read where there are no safetensors.
"""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import CheckpointCorrupt, FolderIncomplete
from engine.files.pickled import read_pickled
from engine.files.tensor_entry import BITS, FLOATS, MAX_HEADER_BYTES, TensorEntry

__all__ = ["FLOATS", "TensorEntry", "read_checkpoint", "read_header", "read_part"]

SINGLE = "model.safetensors"
PICKLED = "pytorch_model.bin"
INDEX = ".index.json"
"""Beside either name: which file of many holds what."""


def read_checkpoint(folder: Path) -> Mapping[str, TensorEntry]:
    """Every tensor of the folder's checkpoint, in one file or many, by name."""
    for name, read in READERS.items():
        if (folder / (name + INDEX)).is_file():
            return _read_indexed(folder, name + INDEX, read)
        if (folder / name).is_file():
            return read(folder / name)
    raise FolderIncomplete(f"{folder} has no weights: none of {', '.join(READERS)}, in one file or with an index.")


def read_part(folder: Path, name: str) -> Mapping[str, TensorEntry] | None:
    """Every tensor of a file of weights of this name, whatever it is stored as; None where there is none."""
    if (file := folder / f"{name}.safetensors").is_file():
        return read_header(file)
    return read_pickled(file) if (file := folder / f"{name}.pt").is_file() else None


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


Reader = Callable[[Path], Mapping[str, TensorEntry]]
READERS: Mapping[str, Reader] = {SINGLE: read_header, PICKLED: read_pickled}
"""The first whose files are there has the word."""


def _read_indexed(folder: Path, index: str, read: Reader) -> Mapping[str, TensorEntry]:
    weight_map = _parse_object(folder / index, (folder / index).read_bytes()).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointCorrupt(f"{index} has no weight_map.")
    tensors: dict[str, TensorEntry] = {}
    for name in sorted({str(file) for file in weight_map.values()}):
        if Path(name).name != name:
            raise CheckpointCorrupt(f"{index} names {name!r}, which is not a file beside it.")
        if not (folder / name).is_file():
            raise FolderIncomplete(f"{folder} lacks {name}, which {index} names.")
        for tensor, entry in read(folder / name).items():
            if weight_map.get(tensor) != name:
                raise CheckpointCorrupt(f"{name} holds {tensor}, which {index} does not place there.")
            tensors[tensor] = entry
    if lost := sorted(set(weight_map) - set(tensors)):
        raise CheckpointCorrupt(f"{index} names tensors that no file holds: {', '.join(lost[:5])}.")
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
