"""What a batch takes of the device's memory beside the weights: arithmetic before a load, measured after it on CUDA.

The arithmetic counts what is alive at once in one layer, in numbers per token: H is the hidden size, I the
intermediate one, A the heads, L the length of a sequence, Q = A D the width of all heads of queries, K that of the
heads of keys (for most families both are H).

- Beside: the layer's input H, the same normalised H where it stays, cosines and sines 2 D.
- Feed-forward: beside, and I before and after the activation: 2 I; where it is gated 3 I, and the result H.
- Attention: beside, query, key and value Q + 2 K, turned queries and keys Q + K, scaled query Q, result Q; in a run of
  short sequences their copies 3 Q, and either the weights before and after the softmax 2 A L, or the weights A L and
  their product Q. Longer sequences never hold weights.
- Norms in float32: input, squares and result.
- Result: hidden states in the model's type and once more in float32.

Some of it does not grow with the batch: masks and biases of the longest sequence, DeBERTa's tables of distances and the
products that it makes together, and what each thread of the CPU takes for its part of a product or of attention.

On the CPU it is what counts; a test holds it against what the allocator sees, for every family (where many sequences
are as long as the short ones may be, within 3 %).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine.architectures import LayerFacts, facts_of
from engine.layers.attention import BLOCK, SHORT
from engine.layers.disentangled import PRODUCTS

LEAST = 64
"""Tokens; smaller batches are not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What decides the activations of a network."""

    hidden: int
    intermediate: int
    heads: int
    key_heads: int
    head_dim: int
    layer: LayerFacts
    longest: int
    """Tokens of the longest sequence."""
    itemsize: int
    window: int
    """Places to either side that local layers see, at most; 0: there are none."""
    products: int
    """L x L products that DeBERTa makes together."""
    threads: int
    """Of the CPU, that share a matrix product; 0 on other devices."""

    @classmethod
    def of(
        cls, config: Mapping[str, Any], family: str, *, longest: int, itemsize: int, place: str, threads: int
    ) -> "Shape":
        """From a config.json under the common names of its keys; `threads` are those of the host for one batch."""
        hidden, intermediate, heads = (
            int(config[key]) for key in ("hidden_size", "intermediate_size", "num_attention_heads")
        )
        return cls(
            hidden=hidden,
            intermediate=intermediate,
            heads=heads,
            key_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config.get("attention_head_size") or hidden // heads,
            layer=facts_of(family).layer,
            longest=longest,
            itemsize=itemsize,
            window=config.get("sliding_window") or config.get("local_attention") or 0,
            products=PRODUCTS[place],
            threads=threads if place == "cpu" else 0,
        )

    def peak(self, tokens: int) -> int:
        """Bytes alive at once in a forward pass over so many tokens, at most."""
        layer, floats = self.layer, 4 // self.itemsize
        queries, keys = self.heads * self.head_dim, self.key_heads * self.head_dim
        beside = self.hidden * (2 if layer.pre_norm else 1) + 2 * layer.angles * self.head_dim
        forward = beside + (3 * self.intermediate + self.hidden if layer.gated else 2 * self.intermediate)
        weights = self.heads * min(self.longest, SHORT)
        asked = queries + 2 * keys + (queries + keys if layer.new_queries else 0)
        attention = beside + asked + 5 * queries + weights + max(queries, weights)
        norm = beside + 3 * self.hidden * floats if layer.pre_norm else 0
        result = self.hidden * (1 + floats)
        return tokens * self.itemsize * max(forward, attention, norm, result) + self._fixed(tokens)

    def _fixed(self, tokens: int) -> int:
        """Bytes that do not grow with a batch that has room for the longest sequence."""
        length = min(self.longest, tokens)
        block = min(length, BLOCK)
        numbers = 0
        if self.layer.masked:
            # A block of queries with all keys in sight: places away (int64), what is hidden of them, and the mask.
            numbers += block * min(length, BLOCK + 2 * self.window) * (1 + 12 // self.itemsize)
        if self.layer.biased:
            numbers += self.heads * (block * length + 2 * (2 * length - 1) * 4 // self.itemsize)
        if self.layer.disentangled:
            together = min(max(self.products, length**2), self.heads * tokens * length)
            numbers += 3 * together + 4 * (2 * length - 1) * self.heads * self.head_dim
        return numbers * self.itemsize + self.threads * max(self._product(tokens), self._tile(length))

    def _product(self, tokens: int) -> int:
        """Bytes that a thread copies of a matrix product in bfloat16: blocks of 64 columns.

        They come from at most 1,024 rows of weights, and in float32 of 256 tokens: oneDNN's with AVX-512, measured up
        to 1,000 tokens, equal to the byte where the inputs are few.
        """
        inputs = max(self.hidden, self.intermediate, self.heads * self.head_dim)
        return 64 * (2 * min(inputs, 1024) + 4 * min(tokens, 256)) + 1024 if self.itemsize == 2 else 0

    def _tile(self, length: int) -> int:
        """Bytes in which a thread attends a long sequence, torch's on the CPU: queries in rows, 512 keys in columns."""
        queries = 256 if length >= 768 else 64 if length >= 192 else 32
        numbers = min(length, 512) * (4 + (2 if self.itemsize == 2 else 0)) + 4 * (2 + self.head_dim)
        return queries * numbers if length > SHORT else 0


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
