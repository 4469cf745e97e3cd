"""One tensor of a weight file, by what the file says of it; free of torch."""

import math
from dataclasses import dataclass
from pathlib import Path

MAX_HEADER_BYTES = 100_000_000
"""Of what describes a file's tensors: the limit of the safetensors library."""

BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 8),
}
"""Of a number, by the name that safetensors has for its type."""
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor as its file's header describes it: little-endian, row by row, without gaps."""

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
