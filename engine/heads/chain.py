"""What is done to vectors one by one: projected, normalised, brought to unit length."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from engine.configs.vector_steps import VectorStep
from engine.layers.activation import activation

NORM_EPS = 1e-5
"""Of sentence-transformers' LayerNorm module."""


class Dense(nn.Module):
    """activation(x W + b), and x itself where it is residual."""

    def __init__(self, step: VectorStep) -> None:
        super().__init__()
        self.linear = nn.Linear(step.width, step.out, bias=step.bias)
        projects = step.residual and step.width != step.out
        self.residual = nn.Linear(step.width, step.out, bias=False) if projects else nn.Identity()
        self._adds_input = step.residual
        self._activation = activation(step.activation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, E), computed in the weights' type."""
        x = x.to(self.linear.weight.dtype)
        out = self._activation(self.linear(x))
        return out + self.residual(x) if self._adds_input else out


class Norm(nn.Module):
    """LayerNorm in float32."""

    def __init__(self, step: VectorStep) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(step.width, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        weight, bias = self.norm.weight.float(), self.norm.bias.float()
        return functional.layer_norm(x.float(), weight.shape, weight, bias, NORM_EPS)


class Normalize(nn.Module):
    """To unit length, in float32; a zero vector stays zero."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        return functional.normalize(x.float(), dim=-1)


KINDS: Mapping[str, Callable[[VectorStep], nn.Module]] = {
    "dense": Dense,
    "norm": Norm,
    "normalize": lambda step: Normalize(),  # noqa: ARG005
}


def chain(steps: Sequence[VectorStep]) -> nn.Sequential:
    """The steps one after the other: (N, D) -> (N, E)."""
    return nn.Sequential(*(KINDS[step.kind](step) for step in steps))


def renames(steps: Sequence[VectorStep], name: str) -> tuple[tuple[str, str], ...]:
    """From the names of the steps' tensors to those of the chain `name` of a head."""
    return tuple(
        (step.path, f"{name}.{place}." + ("" if step.in_folder else step.path))
        for place, step in enumerate(steps)
        if step.path
    )
