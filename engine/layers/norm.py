"""Root mean square normalisation (Zhang & Sennrich 2019), in float32 whatever the network's type."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class RmsNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight, over the last dimension."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width), requires_grad=False)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., H)."""
        normed = functional.rms_norm(x.float(), self.weight.shape, eps=self.eps)
        return normed.to(x.dtype).mul_(self.weight)


class CentredRmsNorm(RmsNorm):
    """Gemma's: the weight is stored less 1, and is applied before the result is rounded."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., H)."""
        return functional.rms_norm(x.float(), self.weight.shape, self.weight.float() + 1, eps=self.eps).to(x.dtype)
