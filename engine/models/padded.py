"""Bodies of the library transformers, run as it runs them: padded. What is not written here natively yet.

The packed tokens are sorted by length; neighbours whose padding stays small are padded to a rectangle and run together.
"""

import inspect
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from engine.errors import ArchitectureUnknown
from engine.fallback import LIBRARY, body_class, library_config
from engine.layers.attention import Attention
from engine.layers.tokens import Run, Tokens
from engine.weights import KeyMap

WASTE = 1.25
"""A rectangle is at most so many times its tokens, as long as it is no smaller than `LEAST`."""
LEAST = 256
"""Tokens of a rectangle, padding included, below which padding costs less than another pass."""


class Padded(nn.Module):
    """Any body of the library behind the packed interface."""

    def __init__(self, config: Mapping[str, Any], attend: Attention) -> None:  # noqa: ARG002 - it has its own attention
        super().__init__()
        read = library_config(config[LIBRARY])
        read.use_cache = False
        with _weightless():
            self.model = _built(read)
        self.padding: int = getattr(read, "pad_token_id", None) or 0
        self.typed = "token_type_ids" in inspect.signature(self.model.forward).parameters

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        self._bring_buffers(tokens.ids.device)
        parts: list[Tensor] = []
        start = 0
        for shapes in rectangles(tokens.sequences.runs):
            rows = sum(length for length, _ in shapes)
            parts.append(self._rectangle(tokens, start, shapes))
            start += rows
        return torch.cat(parts)

    def _rectangle(self, tokens: Tokens, start: int, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """Sequences of the given lengths, of whose last tokens some are unseen, from row `start`: (rows, H)."""
        longest = max(length for length, _ in shapes)
        lengths = np.array([length for length, _ in shapes])
        seen = lengths - np.array([unseen for _, unseen in shapes])
        columns = np.arange(longest)
        filled = np.flatnonzero(columns < lengths[:, None])  # places in the rectangle, in the order of the rows
        device, rows = tokens.ids.device, slice(start, start + len(filled))
        places = _at(filled, device)

        def spread(values: Tensor, padding: int) -> Tensor:
            flat = torch.full((len(shapes) * longest,), padding, dtype=torch.long, device=device)
            return flat.index_copy_(0, places, values[rows].long()).view(len(shapes), longest)

        inputs = {
            "input_ids": spread(tokens.ids, self.padding),
            "attention_mask": _at((columns < seen[:, None]).astype(np.int64), device),
        }
        if self.typed and tokens.types is not None:
            inputs["token_type_ids"] = spread(tokens.types, 0)
        hidden: Tensor = self.model(**inputs).last_hidden_state  # (B, L, H)
        return hidden.flatten(0, 1)[places]

    def _bring_buffers(self, device: torch.device) -> None:
        """What the library computed when it was built goes where the weights are, once."""
        for module in self.model.modules():
            for name, buffer in module.named_buffers(recurse=False):
                if buffer.device != device:
                    setattr(module, name, buffer.to(device))

    def _apply(self, fn: Any, recurse: bool = True) -> "Padded":
        """The library computes its buffers in float32 and keeps them so, whatever the type of the weights."""
        kept = {name: buffer for name, buffer in self.model.named_buffers() if buffer.is_floating_point()}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in kept.items():
            module, _, own = name.rpartition(".")
            setattr(self.model.get_submodule(module), own, buffer)
        return self


def library_keys(body: Padded, names: Sequence[str]) -> KeyMap:
    """How a checkpoint with these tensors names what is in a body."""
    prefix = f"{body.model.base_model_prefix}."
    with_head = any(name.startswith(prefix) for name in names)
    beside = [re.escape(name) for name in names if with_head and not name.startswith(prefix)]
    buffers = [re.escape(name) for name, _ in body.model.named_buffers()]
    tied = {name for name, _ in body.model.named_parameters(remove_duplicate=False)}
    tied -= {name for name, _ in body.model.named_parameters()}
    ignored = (*beside, *buffers, *map(re.escape, sorted(tied)), r"(.*\.)?pooler\..*", r".*\.position_ids")
    renames = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))
    return KeyMap(prefix=prefix, renames=renames, ignored=ignored)


def rectangles(runs: Sequence[Run]) -> Iterator[list[tuple[int, int]]]:
    """The sequences of a batch, each by its length and unseen tokens, in groups whose padding stays small."""
    group: list[tuple[int, int]] = []
    tokens = 0
    for run in runs:
        for _ in range(run.count):
            area = run.length * (len(group) + 1)
            if group and area > LEAST and area > WASTE * (tokens + run.length):
                yield group
                group, tokens = [], 0
            group.append((run.length, run.unseen))
            tokens += run.length
    if group:
        yield group


def _built(read: Any) -> Any:
    """A body without weights, and without the pooler that sentence-transformers has no use for either."""
    kind = body_class(read)
    pooler = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind.__init__).parameters else {}
    try:
        return kind._from_config(read, **pooler)  # noqa: SLF001 - what `AutoModel.from_config` calls
    except (ValueError, TypeError, ImportError, AttributeError, KeyError, RuntimeError) as error:
        raise ArchitectureUnknown(f"transformers does not build the {read.model_type}: {error}") from error


@contextmanager
def _weightless() -> Iterator[None]:
    """Have modules that this thread builds keep their parameters on the meta device, and their buffers where they are.

    The library fills buffers when it builds them; on the meta device they would hold nothing.
    """
    thread = threading.get_ident()

    def forget(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:  # noqa: ARG001
        if parameter is None or parameter.is_meta or threading.get_ident() != thread:
            return None  # as it is
        return nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)

    hook = register_module_parameter_registration_hook(forget)  # type: ignore[arg-type]  # it may give a parameter
    try:
        with torch.device("cpu"):
            yield
    finally:
        hook.remove()


def _at(array: NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device, non_blocking=True)
