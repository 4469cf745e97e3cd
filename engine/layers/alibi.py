"""Attention with linear biases (Press et al. 2022), both ways: the farther a key, the less it counts."""

import math

import torch
from torch import Tensor


def alibi(heads: int, length: int, device: torch.device) -> Tensor:
    """-slope * distance, by head, for distances from 1 - length to length - 1: (heads, 2 length - 1) float32."""
    distances = torch.arange(1 - length, length, device=device).abs()
    return -torch.tensor(slopes(heads), device=device)[:, None] * distances


def slopes(heads: int) -> list[float]:
    """2^(-8 i / heads) for i from 1 where heads is a power of two.

    Else those of the next power below, and every second of the next above.
    """
    below = 2 ** int(math.log2(heads))
    if below == heads:
        return [2 ** (-8 * number / heads) for number in range(1, heads + 1)]
    return slopes(below) + slopes(2 * below)[0::2][: heads - below]
