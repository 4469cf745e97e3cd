"""What torch's own weight files hold (`pytorch_model.bin`, `*.pt`), without torch and without running their pickle.

Format: a zip archive, nothing compressed; `<name>/data.pkl` is a pickle of a dictionary of tensors, each a view into a
storage, and `<name>/data/<key>` are the storages' bytes (torch/serialization.py, `_save`). The pickle is only worked
out, with stand-ins for the few names that tensors need.
"""

import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import CheckpointCorrupt, WeightsRefused
from engine.files.pickle_program import Made, PickleRefused, unpickle
from engine.files.tensor_entry import BITS, MAX_HEADER_BYTES, TensorEntry

STORAGES: Mapping[str, str] = {
    "torch.DoubleStorage": "F64",
    "torch.FloatStorage": "F32",
    "torch.HalfStorage": "F16",
    "torch.BFloat16Storage": "BF16",
    "torch.LongStorage": "I64",
    "torch.IntStorage": "I32",
    "torch.ShortStorage": "I16",
    "torch.CharStorage": "I8",
    "torch.ByteStorage": "U8",
    "torch.BoolStorage": "BOOL",
}
TYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")

INSTEAD = (
    "Write the weights anew where you trust them: "
    "safetensors.torch.save_file(torch.load(file, weights_only=True), 'model.safetensors')."
)
LOCAL_HEADER = 30
"""Bytes of a zip entry's header before its name."""


class Storage(NamedTuple):
    """Numbers in a file of the archive."""

    dtype: str
    key: str
    numbers: int


class View(NamedTuple):
    """A tensor: some numbers of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pickled(file: Path) -> Mapping[str, TensorEntry]:
    """Every tensor of one file, by name.

    Raises WeightsRefused for what only running it, or torch's older formats, could give; CheckpointCorrupt.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = _entries(file, archive)
            root = _root(file, entries)
            program = entries[f"{root}data.pkl"]
            if program.file_size > MAX_HEADER_BYTES:
                raise CheckpointCorrupt(f"{file.name}: its pickle has {program.file_size} bytes.")
            order = entries.get(f"{root}byteorder")
            if order is not None and archive.read(order) != b"little":
                raise WeightsRefused(f"{file.name} was written on a big-endian machine. {INSTEAD}")
            views = _views(file, archive.read(program))
            return {name: _entry(file, name, view, root, entries) for name, view in views.items()}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error) as error:
        if _is_legacy(file):
            raise WeightsRefused(
                f"{file.name} is in the format of torch before 1.6, which is not read here. {INSTEAD}"
            ) from None
        raise CheckpointCorrupt(f"{file.name} is no weight file of torch, or was cut off: {error}.") from error


def _entries(file: Path, archive: zipfile.ZipFile) -> Mapping[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    entries = {info.filename: info for info in infos}
    if len(entries) != len(infos):
        raise CheckpointCorrupt(f"{file.name}: two entries of the archive have one name.")
    return entries


def _root(file: Path, entries: Mapping[str, zipfile.ZipInfo]) -> str:
    roots = [name.removesuffix("data.pkl") for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise CheckpointCorrupt(f"{file.name} is no weight file of torch: the archive has {len(roots)} data.pkl.")
    if f"{roots[0]}constants.pkl" in entries:
        raise WeightsRefused(f"{file.name} is a TorchScript program, not weights.")
    return roots[0]


def _views(file: Path, program: bytes) -> Mapping[str, View]:
    known = {
        "collections.OrderedDict": Made(_dictionary),
        "torch._utils._rebuild_tensor_v2": Made(_tensor),
        "torch._utils._rebuild_parameter": Made(_parameter),
        "torch.Size": Made(tuple),
        "torch.device": Made(str),
        **{f"torch.{name}": name for name in TYPES},
        **STORAGES,
    }
    try:
        views = unpickle(program, known, _storage)
    except PickleRefused as error:
        raise WeightsRefused(f"{file.name} holds a pickle that is not run: {error}. {INSTEAD}") from None
    except ValueError as error:
        raise CheckpointCorrupt(f"{file.name} holds no pickle of tensors: {error}.") from error
    if not isinstance(views, dict):
        raise WeightsRefused(f"{file.name} holds a {type(views).__name__}, not tensors by name. {INSTEAD}")
    for name, view in views.items():
        if not isinstance(name, str) or not isinstance(view, View):
            raise WeightsRefused(f"{file.name}: {name!r} is a {type(view).__name__}, not a tensor. {INSTEAD}")
    return views


def _dictionary(*items: Any) -> dict[Any, Any]:
    if items:
        raise PickleRefused("it fills an OrderedDict otherwise than item by item")
    return {}


def _storage(claim: Any) -> Storage:
    match claim:
        case ("storage", str(dtype), str(key), str(), int(count)) if dtype in BITS and count >= 0:
            return Storage(dtype, key, count)
        case _:
            raise PickleRefused("it refers to something outside that is no storage of tensors")


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> View:
    if (
        not isinstance(storage, Storage)
        or not isinstance(shape, tuple)
        or not isinstance(strides, tuple)
        or len(shape) != len(strides)
        or not all(type(number) is int and 0 <= number < 2**63 for number in (offset, *shape, *strides))
    ):
        raise PickleRefused("it describes a tensor that can not be")
    return View(storage, offset, shape, strides)


def _parameter(data: Any, *_: Any) -> View:
    if not isinstance(data, View):
        raise PickleRefused("it describes a parameter that is no tensor")
    return data


def _entry(file: Path, name: str, view: View, root: str, entries: Mapping[str, zipfile.ZipInfo]) -> TensorEntry:
    storage, width = view.storage, BITS[view.storage.dtype] // 8
    count = math.prod(view.shape)
    if not _is_contiguous(view):
        raise WeightsRefused(
            f"{file.name}: {name} {list(view.shape)} is a view with gaps (strides {list(view.strides)}). {INSTEAD}"
        )
    info = entries.get(f"{root}data/{storage.key}")
    if info is None:
        raise CheckpointCorrupt(f"{file.name}: the archive lacks data/{storage.key}, which {name} is in.")
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
        raise WeightsRefused(f"{file.name}: the archive's data/{storage.key} is compressed or encrypted. {INSTEAD}")
    if info.file_size != storage.numbers * width or view.offset + count > storage.numbers:
        raise CheckpointCorrupt(
            f"{file.name}: {name} claims {list(view.shape)} from {view.offset} of {storage.numbers} numbers; "
            f"data/{storage.key} has {info.file_size} bytes."
        )
    return TensorEntry(file, storage.dtype, view.shape, _first_byte(file, info) + view.offset * width, count * width)


def _is_contiguous(view: View) -> bool:
    expected = 1
    for length, stride in zip(reversed(view.shape), reversed(view.strides), strict=True):
        if length != 1 and stride != expected:
            return 0 in view.shape
        expected *= length
    return True


def _first_byte(file: Path, info: zipfile.ZipInfo) -> int:
    """Where an entry's data begins: after its local header, whose two lengths its directory does not tell."""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(info.header_offset, 0))
        header = stream.read(LOCAL_HEADER)
    if len(header) < LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise CheckpointCorrupt(f"{file.name}: the archive has no {info.filename} where its directory says.")
    name, extra = struct.unpack("<HH", header[26:30])
    first = info.header_offset + LOCAL_HEADER + int(name) + int(extra)
    if first + info.file_size > size:
        raise CheckpointCorrupt(f"{file.name} was cut off in {info.filename}.")
    return first


def _is_legacy(file: Path) -> bool:
    """A bare pickle, or a tar archive."""
    with file.open("rb") as stream:
        head = stream.read(512)
    return (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05") or head[257:262] == b"ustar"
