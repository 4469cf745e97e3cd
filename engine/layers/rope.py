"""Which angles a config's rotary positions turn by: its base, and the rule that stretches it to longer texts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from engine.errors import ArchitectureUnknown, ModelInvalid
from engine.layers.rotary import turned

KNOWN = ("default", "linear", "llama3")


@dataclass(frozen=True, slots=True)
class Rope:
    """The frequencies base^(-2i / width), stretched by `factor`: all of them, or (Llama 3) the low ones."""

    base: float
    factor: float = 1.0
    kept: tuple[float, float] | None = None
    """Wavelengths in positions: below the first nothing is stretched, above the second all, between them in part."""

    @classmethod
    def from_json(
        cls, config: Mapping[str, Any], *, base: float, key: str = "rope_theta", kind: str | None = None
    ) -> Self:
        """Read `rope_parameters` (of one kind of layers, where kinds differ), or `key` and `rope_scaling`.

        Raises ArchitectureUnknown for any rule but those of KNOWN.
        """
        given = config.get("rope_parameters") or {}
        if kind is not None:
            given = given.get(kind) or {}
        scaling = config.get("rope_scaling") or given
        rule = scaling.get("rope_type") or scaling.get("type") or "default"
        given = {**given, **scaling}
        base = float(given.get("rope_theta") or config.get(key) or base)
        part = given.get("partial_rotary_factor", config.get("partial_rotary_factor"))
        if rule not in KNOWN or part not in (None, 1):
            raise ArchitectureUnknown(
                f"Rotary positions of type {rule!r} are not known here, nor are those that turn a part of each head. "
                f"Known: {', '.join(KNOWN)}."
            )
        if rule == "default":
            return cls(base)
        needed = ("factor",) if rule == "linear" else ("factor", "low_freq_factor", "high_freq_factor")
        if missing := [name for name in needed if not given.get(name)]:
            raise ModelInvalid(f"config.json has rotary positions of type {rule} without {', '.join(missing)}.")
        if rule == "linear":
            return cls(base, float(given["factor"]))
        trained = given.get("original_max_position_embeddings") or config["max_position_embeddings"]
        kept = (trained / given["high_freq_factor"], trained / given["low_freq_factor"])
        return cls(base, float(given["factor"]), kept)

    def frequencies(self, width: int, device: torch.device) -> Tensor:
        """Radians per position, in float32: (width / 2,)."""
        exponents = torch.arange(0, width, 2, dtype=torch.float32, device=device) / width
        # As the references write it: at positions in the thousands the rounding of a frequency shows.
        plain = 1.0 / self.base**exponents
        if self.kept is None:
            return plain / self.factor
        least, most = self.kept
        waves = 2 * math.pi / plain
        share = ((most / waves - 1) / (most / least - 1)).clamp(0, 1)  # of the frequency that stays
        return (1 - share) * plain / self.factor + share * plain

    def angles(self, positions: Tensor, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines for `rotate`: 2 x (T, 1, width), in the type of `like`."""
        return turned(positions, self.frequencies(width, positions.device), like)
