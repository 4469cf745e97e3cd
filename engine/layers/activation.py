"""The activations that `config.json` may name. `gelu` is the exact one; what approximates it by tanh says so."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from engine.errors import ArchitectureUnknown

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "identity": nn.Identity(),
    "leakyrelu": functional.leaky_relu,
    "elu": functional.elu,
    "softplus": functional.softplus,
}


def activation(name: object) -> Activation:
    """The activation of this name. Raises ArchitectureUnknown for any other."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ArchitectureUnknown(f"The activation {name!r} is not known here. Known: {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]
