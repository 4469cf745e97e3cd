"""Rotary position embeddings (Su et al. 2021), in the halves layout: number i turns with number i + D/2."""

import torch
from torch import Tensor


def rotary(positions: Tensor, width: int, base: float, like: Tensor, *, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every position's angles: 2 x (T, 1, width), in the type of `like`.

    Angle i of position p is p / scale * base^(-2i / width). Computed in float32: half precision knows no position above
    a few hundred.
    """
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device=positions.device) / width
    return turned(positions, base**-exponents / scale, like)


def turned(positions: Tensor, frequencies: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines for frequencies (width / 2,) in radians per position: 2 x (T, 1, width)."""
    angles = positions.float()[:, None] * frequencies  # (T, width / 2)
    angles = torch.cat((angles, angles), dim=-1)[:, None]
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the first numbers of every head, as many as the angles are for: (T, H, D)."""
    width = cos.shape[-1]
    turning, still = x[..., :width], x[..., width:]
    first, second = turning.chunk(2, dim=-1)
    turning = turning * cos + torch.cat((-second, first), dim=-1) * sin
    return turning if width == x.shape[-1] else torch.cat((turning, still), dim=-1)
