"""Low-rank adapters beside one base that is in memory once: sequences of several share a batch.

A batch runs through a copy of the base's modules, not of its weights, in which every module that an adapter changes
adds to the rows of that adapter's sequences what it makes of them: y + up (down x), two small products for each.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engine.batch import PackedBatch
from engine.device import Device
from engine.errors import ArchitectureUnknown, WeightMismatch
from engine.files.adapter import LowRank
from engine.files.tensor_entry import TensorEntry
from engine.layers.embedding import Embedding, TypeEmbedding
from engine.loading.finite import refuse_not_finite
from engine.memory.buffers import device_memory
from engine.memory.layout import Layout, lay_out
from engine.memory.tiers import LoadPlan
from engine.models.deberta_v2 import DisentangledAttention
from engine.progress import Progress
from engine.weights import KeyMap, Target, fill, is_ignored, target_of

BODY = "body."
TABLES = ("word", "position", "token_type")
"""Tables of one row for each token; others are read otherwise."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an adapter adds to one module, or to one of the equal parts of which it stacks several."""

    down: Tensor
    """(in, R); of a table (V, R)."""
    up: Tensor
    """(R, out), scaled."""
    start: int
    """The first number of the module's result that it changes."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedAdapter:
    """An adapter in the device's memory. It can run over any copy of its base."""

    changes: Mapping[str, tuple[Change, ...]]
    """By the path of the module in the body."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one product goes."""

    path: str
    start: int
    turned: tuple[bool, bool]
    """Whether the stored matrices are read as their transposes."""
    scale: float


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """An adapter, and the rows of a batch that are its sequences'."""

    change: Change
    rows: Tensor | None
    """(n,) int64; None: all."""


def plan_adapter(
    pairs: Sequence[LowRank],
    base: nn.Module,
    keys: Mapping[str, KeyMap],
    device: Device,
    dtype: torch.dtype,
    progress: Progress,
) -> LoadPlan[LoadedAdapter]:
    """Check an adapter against its base, which may be without weights, and say what it takes.

    `keys` as `weights.match` has them; the body is the part `body.`.
    """
    found = [(pair, place) for pair in pairs if (place := _place(pair, base, keys)) is not None]
    entries = [entry for pair, _ in found for entry in (pair.first, pair.second)]
    with torch.device("meta"):
        blank = nn.ParameterList(torch.empty(entry.shape, dtype=dtype) for entry in entries)
    layout = lay_out(blank, dtype)
    return LoadPlan(layout.bytes, partial(_load, [place for _, place in found], entries, layout, device, progress))


def adapted(body: nn.Module, batch: PackedBatch) -> nn.Module:
    """The body as the batch's adapters change it; itself where there are none."""
    bounds = np.cumsum([0, *map(len, batch.encoded)])
    parts: dict[int, tuple[LoadedAdapter, list[NDArray[np.int64]]]] = {}
    for place, encoded in enumerate(batch.encoded):
        if isinstance(encoded.adapter, LoadedAdapter):
            rows = np.arange(bounds[place], bounds[place + 1])
            parts.setdefault(id(encoded.adapter), (encoded.adapter, []))[1].append(rows)
    if not parts:
        return body
    uses: dict[str, list[Use]] = {}
    for adapter, ranges in parts.values():
        rows = np.concatenate(ranges)
        mine = None if len(rows) == len(batch) else torch.from_numpy(rows).to(batch.tokens.ids.device)
        for path, changes in adapter.changes.items():
            uses.setdefault(path, []).extend(Use(change, mine) for change in changes)
    return _with(body, uses, len(batch))


class AdaptedLinear(nn.Module):
    """A projection, and what adapters add to it."""

    def __init__(self, base: nn.Linear, uses: Sequence[Use], tokens: int) -> None:
        super().__init__()
        self.weight, self.bias = base.weight, base.bias
        self._uses, self._tokens = uses, tokens

    def forward(self, x: Tensor) -> Tensor:
        """(T, in) -> (T, out)."""
        _check(len(x), self._tokens)
        out = functional.linear(x, self.weight, self.bias)
        for use in self._uses:
            mine = x if use.rows is None else x[use.rows]
            _add(out, use, mine @ use.change.down)
        return out


class AdaptedEmbedding(nn.Module):
    """A table of one row for each token, and what adapters add to it."""

    def __init__(self, base: Embedding, uses: Sequence[Use], tokens: int) -> None:
        super().__init__()
        self.weight = base.weight
        self._uses, self._tokens, self._base = uses, tokens, [base]

    def forward(self, ids: Tensor | None) -> Tensor:
        """(T,) -> (T, H); without ids the first row for every token."""
        if ids is None or (isinstance(self._base[0], TypeEmbedding) and self.weight.shape[0] == 1):
            ids = torch.zeros(self._tokens, dtype=torch.int32, device=self.weight.device)
        _check(len(ids), self._tokens)
        out = functional.embedding(ids, self.weight)
        for use in self._uses:
            mine = ids if use.rows is None else ids[use.rows]
            _add(out, use, functional.embedding(mine, use.change.down))
        return out


def _add(out: Tensor, use: Use, low: Tensor) -> None:
    """To the rows and the part that a use is about: (n, R) up to (n, out)."""
    added = low @ use.change.up
    part = out[:, use.change.start : use.change.start + added.shape[1]]
    if use.rows is None:
        part.add_(added)
    else:
        part.index_add_(0, use.rows, added)


def _check(rows: int, tokens: int) -> None:
    if rows != tokens:
        raise RuntimeError(f"An adapted module was given {rows} rows of a batch of {tokens} tokens.")


def _with(module: nn.Module, uses: Mapping[str, Sequence[Use]], tokens: int) -> nn.Module:
    """A copy whose modules at these paths are adapted; what no adapter changes is shared."""
    if (own := uses.get("")) is not None:
        if isinstance(module, nn.Linear):
            return AdaptedLinear(module, own, tokens)
        assert isinstance(module, Embedding), "what can be adapted was checked"  # noqa: S101
        return AdaptedEmbedding(module, own, tokens)
    children = dict(vars(module)["_modules"])
    for name in dict.fromkeys(path.partition(".")[0] for path in uses):
        below = {path.partition(".")[2]: use for path, use in uses.items() if path.partition(".")[0] == name}
        children[name] = _with(children[name], below, tokens)
    changed = copy.copy(module)
    vars(changed)["_modules"] = children
    return changed


def _place(pair: LowRank, base: nn.Module, keys: Mapping[str, KeyMap]) -> _Place | None:
    """Where a product goes; None: to a part of the base's checkpoint that is not served."""
    name = f"{pair.module}.weight"
    targets = {part: target_of(name, part, names) for part, names in keys.items()}
    part = next((part for part, target in targets.items() if _module(base, target) is not None), None)
    if part is None:
        if any(is_ignored(name, names) for names in keys.values()):
            return None
        raise WeightMismatch(f"The adapter changes {pair.module}, which its base does not have.")
    target = targets[part]
    module = _module(base, target)
    path = target.name.removesuffix(".weight").removeprefix(BODY)
    if part != BODY or module is None or _is_elsewhere(base, target):
        raise ArchitectureUnknown(f"An adapter of {pair.module} is not known here: more than tokens go through it.")
    first, second = pair.first.shape, pair.second.shape
    rows, columns = module.weight.shape
    if isinstance(module, nn.Linear):
        rows //= target.parts
        if (first[1], second[0]) == (columns, rows) and first[0] == second[1]:
            return _Place(path, target.part * rows, (True, True), pair.scale)
    elif (first[1], second[0]) == (rows, columns) and first[0] == second[1]:
        return _Place(path, 0, (True, True), pair.scale)
    elif (first[0], second[1]) == (rows, columns) and first[1] == second[0]:
        return _Place(path, 0, (False, False), pair.scale)
    raise WeightMismatch(
        f"The adapter's matrices of {pair.module} are {list(first)} and {list(second)}, its base's {rows} x {columns}."
    )


def _module(base: nn.Module, target: Target) -> nn.Linear | Embedding | None:
    """What can be adapted."""
    path = target.name.removesuffix(".weight")
    try:
        found = base.get_submodule(path)
    except AttributeError:
        return None
    if isinstance(found, nn.Linear):
        return found
    return found if isinstance(found, Embedding) and path.rpartition(".")[2] in TABLES else None


def _is_elsewhere(base: nn.Module, target: Target) -> bool:
    """DeBERTa projects distances by the queries' and keys' own weights, and by projections of their own."""
    holder, _, name = target.name.removesuffix(".weight").rpartition(".")
    if not isinstance(base.get_submodule(holder), DisentangledAttention):
        return False
    return name not in ("qkv", "out") or (name == "qkv" and target.part < 2)


def _load(
    places: Sequence[_Place], entries: Sequence[TensorEntry], layout: Layout, device: Device, progress: Progress
) -> LoadedAdapter:
    progress.enter("read", sum(entry.nbytes for entry in entries))
    with torch.inference_mode():
        views = layout.views(device_memory(layout.bytes, device))
        named = dict(zip(views, entries, strict=True))
        targets = {name: Target(name) for name in views}
        fill(views, named, targets, read=progress.advance)
        progress.enter("check")
        refuse_not_finite(views, targets)
        changes: dict[str, list[Change]] = {}
        matrices = list(views.values())
        for number, place in enumerate(places):
            down, up = (
                matrix.t() if turned else matrix
                for matrix, turned in zip(matrices[2 * number : 2 * number + 2], place.turned, strict=True)
            )
            changes.setdefault(place.path, []).append(Change(down, up.mul_(place.scale), place.start))
        if device.on_cuda:
            torch.cuda.current_stream(device.place).synchronize()
    return LoadedAdapter({path: tuple(parts) for path, parts in changes.items()})
