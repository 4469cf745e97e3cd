"""A network's parameters as views into one flat run of bytes, so that a whole model moves by one copy."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

ALIGNMENT = 256
"""Bytes; what a device's allocator and its matrix products start at."""


class Slot(NamedTuple):
    """Where one parameter lies."""

    name: str
    shape: tuple[int, ...]
    offset: int
    """In numbers, not bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A network without weights, and where in a flat buffer each of them lies."""

    blank: nn.Module
    """Its parameters are on the meta device. Never run."""
    dtype: torch.dtype
    slots: tuple[Slot, ...]
    bytes: int
    tied: Mapping[str, str] = field(default_factory=dict)
    """Other names of parameters, by which the network has them too."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of every parameter, by name."""
        return {slot.name: slot.shape for slot in self.slots}

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Every parameter in a buffer of (bytes,) uint8, by name."""
        numbers = flat.view(self.dtype)
        return {
            slot.name: numbers[slot.offset : slot.offset + math.prod(slot.shape)].view(slot.shape)
            for slot in self.slots
        }

    def bind(self, flat: Tensor) -> nn.Module:
        """The network over the weights in a buffer. It shares everything else with the blank one."""
        views = self.views(flat)
        return _bind(self.blank, {**views, **{name: views[first] for name, first in self.tied.items()}}, "")


def lay_out(blank: nn.Module, dtype: torch.dtype) -> Layout:
    """One parameter after the other, in the network's order, each aligned."""
    step = ALIGNMENT // dtype.itemsize
    slots: list[Slot] = []
    offset = 0
    for name, parameter in blank.named_parameters():
        slots.append(Slot(name, tuple(parameter.shape), offset))
        offset += -(-parameter.numel() // step) * step
    firsts = {id(parameter): name for name, parameter in blank.named_parameters()}
    every = blank.named_parameters(remove_duplicate=False)
    tied = {name: firsts[id(parameter)] for name, parameter in every if firsts[id(parameter)] != name}
    return Layout(blank, dtype, tuple(slots), offset * dtype.itemsize, tied)


def _bind(blank: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> nn.Module:
    bound = copy.copy(blank)
    # Setting the attributes would change the dictionaries that the copy still shares with the blank network.
    vars(bound)["_parameters"] = {
        name: None if parameter is None else nn.Parameter(tensors[prefix + name], requires_grad=False)
        for name, parameter in vars(blank)["_parameters"].items()
    }
    vars(bound)["_modules"] = {
        name: _bind(module, tensors, f"{prefix}{name}.") for name, module in blank.named_children()
    }
    return bound
