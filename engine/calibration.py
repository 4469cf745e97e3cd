"""What a batch takes of the device's memory beside the weights: arithmetic before a load, measured after it on CUDA.

The arithmetic counts what is alive at once in one layer, in numbers per token: H is the hidden size, I the
intermediate one, A the heads, L the length of a sequence.

- Feed-forward: input H, and I before and after the activation: H + 2 I.
- Attention: input H, query, key and value 3 H, scaled query H, result H; in a run of short sequences their copies 3 H,
  and either the weights before and after the softmax 2 A L, or the weights A L and their product H. Longer sequences
  never hold weights.
- Result: hidden states in the model's type and once more in float32.

On the CPU it is what counts; a test holds it against what the allocator sees (on the worst lengths, equal to the byte).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine.layers.attention import SHORT

LEAST = 64
"""Tokens; smaller batches are not measured."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides the activations of a network."""

    hidden: int
    intermediate: int
    heads: int
    longest: int
    """Tokens of the longest sequence."""
    itemsize: int

    @classmethod
    def of(cls, config: Mapping[str, Any], *, longest: int, itemsize: int) -> "Shape":
        """From a config.json."""
        hidden, intermediate, heads = (
            int(config[key]) for key in ("hidden_size", "intermediate_size", "num_attention_heads")
        )
        return cls(hidden, intermediate, heads, longest, itemsize)

    def peak(self, tokens: int) -> int:
        """Bytes alive at once in a forward pass over so many tokens, at most."""
        forward = self.hidden + 2 * self.intermediate
        weights = self.heads * min(self.longest, SHORT)
        attention = 9 * self.hidden + weights + max(self.hidden, weights)
        result = self.hidden * (1 + 4 // self.itemsize)
        return tokens * self.itemsize * max(forward, attention, result)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Peaks that were measured: bytes by tokens, ascending."""

    peaks: tuple[tuple[int, int], ...]

    def at(self, tokens: int) -> int:
        """Bytes for a batch: those of the next greater one that was measured; past the last, in proportion."""
        for measured, peak in self.peaks:
            if measured >= tokens:
                return peak
        measured, peak = self.peaks[-1]
        return -(-peak * tokens // measured)


def powers_of_two(most: int) -> Sequence[int]:
    """Numbers of tokens to measure: the powers of two below `most`, and `most` itself."""
    powers = [2**power for power in range(LEAST.bit_length() - 1, most.bit_length()) if LEAST <= 2**power < most]
    return [*powers, most]


def calibrate(run: Callable[[int], object], sizes: Sequence[int], place: torch.device) -> Calibration:
    """Measure the peaks of `run`, which makes a forward pass over so many tokens, on CUDA.

    Batches of other models that run meanwhile can only add to a peak, or take from it what they free: the median of
    three is taken, and no peak is below that of a smaller batch. Where the memory is out, the peaks so far remain.
    """
    peaks: list[tuple[int, int]] = []
    for size in sizes:
        try:
            measured = sorted(_peak(run, size, place) for _ in range(3))[1]
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        peaks.append((size, max(measured, peaks[-1][1] if peaks else 1)))
    return Calibration(tuple(peaks))


def _peak(run: Callable[[int], object], size: int, place: torch.device) -> int:
    before = torch.cuda.memory_allocated(place)
    torch.cuda.reset_peak_memory_stats(place)
    run(size)
    return torch.cuda.max_memory_allocated(place) - before
