"""A loaded model: encoded sequences in, what its heads say of each out; and its way to host memory and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.batch import PackedBatch, pack
from engine.catalog import ModelSpec
from engine.device import Device
from engine.encoded import Encoded, Row
from engine.heads import HEADS
from engine.heads.part import asking
from engine.layers.attention import Attention, resolve_attention
from engine.loading.adapter import adapted
from engine.loading.finite import refuse_not_finite, refuse_overflow
from engine.memory.buffers import HostBuffer, device_memory, to_device, to_host
from engine.memory.calibration import LEAST, Shape, calibrate, powers_of_two
from engine.memory.layout import Layout, lay_out
from engine.memory.tiers import LoadPlan
from engine.models import FAMILIES
from engine.models.padded import Padded, library_keys
from engine.progress import Progress
from engine.tokenizer import Tokenizer
from engine.weights import KeyMap, Target, fill, match
from engine.work import beside

TOKENIZER_BYTES = 14
"""Of host memory for each byte of a tokenizer.json, whose vocabulary becomes two tables (measured)."""

TRIED = 4
"""Tokens of the pass that a model must do well before it is served."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """Everything that serves one resident model."""

    spec: ModelSpec
    tokenizer: Tokenizer
    device: Device
    layout: Layout
    weights: Tensor
    """All of them: (bytes,) uint8."""
    network: "Network"
    """Over the weights."""
    activation: int = 0
    """Bytes that all batches which run side by side take beside the weights."""

    def pack(self, encoded: Sequence[Encoded]) -> PackedBatch:
        """Prepare a batch. May run beside the batch before it."""
        return pack(encoded, self.device.place)

    @torch.inference_mode()
    def run(self, batch: PackedBatch) -> list[Row]:
        """What the heads that a sequence asks for say of it, in the order that `pack` was given them."""
        hidden: Tensor = adapted(self.network.body, batch)(batch.tokens)  # (T, H)
        rows: list[Row] = [{} for _ in batch.encoded]
        for output, head in self.network.heads.items():
            if (part := asking(batch, hidden, output)) is not None:
                for place, result in zip(part.places.tolist(), head(part, self.network.body), strict=True):
                    rows[place][output] = result
        return rows

    @torch.inference_mode()
    def to_host(self) -> "ModelInHost":
        """Copy the model to host memory; the device's is freed when nobody holds this one any more. Blocks."""
        return ModelInHost(
            to_host(self.weights, self.device),
            self.spec,
            self.tokenizer,
            self.device,
            self.layout,
            self.activation,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ModelInHost:
    """A model that left the device."""

    buffer: HostBuffer
    spec: ModelSpec
    tokenizer: Tokenizer
    device: Device
    layout: Layout
    activation: int

    @property
    def bytes(self) -> int:
        """Of host memory, its tokenizer's included."""
        return self.layout.bytes + _tokenizer_bytes(self.spec)

    @torch.inference_mode()
    def to_device(self) -> LoadedModel:
        """Back, by one copy; the network is bound to its weights while they still come. Blocks."""
        with to_device(self.buffer, self.device) as weights:
            network = cast(Network, self.layout.bind(weights))
        return LoadedModel(self.spec, self.tokenizer, self.device, self.layout, weights, network, self.activation)


class Network(nn.Module):
    """A body and the heads on it."""

    body: nn.Module
    heads: nn.ModuleDict
    """By output."""

    def __init__(self, spec: ModelSpec, attend: Attention) -> None:
        super().__init__()
        self.body = FAMILIES[spec.family].build(spec.config, attend) if spec.native else Padded(spec.config, attend)
        self.heads = nn.ModuleDict({head.output: HEADS[head.kind].build(head, spec.config) for head in spec.heads})


def key_maps(spec: ModelSpec, body: nn.Module) -> Mapping[str, KeyMap]:
    """How the checkpoint names what each part of the network holds; heads first, since bodies ignore their tensors."""
    heads = {f"heads.{head.output}.": HEADS[head.kind].keys(head) for head in spec.heads}
    if isinstance(body, Padded):
        return {**heads, "body.model.": library_keys(body, tuple(spec.tensors))}
    keys = FAMILIES[spec.family].keys
    return {**heads, "body.": keys if spec.prefix is None else replace(keys, prefix=spec.prefix)}


def plan_model(
    spec: ModelSpec, device: Device, dtype: torch.dtype, progress: Progress | None = None
) -> LoadPlan[LoadedModel]:
    """Check a checkpoint against its architecture, and say what the model takes, before any memory is asked for.

    `progress` is told how far the load is.
    """
    layout, targets = check_model(spec, device.place, dtype)
    # On the CPU the tokenizer shares the memory that the budget is about.
    taken = layout.bytes + (0 if device.on_cuda else _tokenizer_bytes(spec))
    shape = Shape.of(
        spec.config,
        spec.family,
        longest=spec.max_tokens,
        itemsize=dtype.itemsize,
        place=device.place.type,
        threads=torch.get_num_threads(),
    )
    full = _full_batch(spec, device)
    heads = sum(HEADS[head.kind].bytes(head, spec.config, full, dtype.itemsize) for head in spec.heads)
    activation = device.workers * (shape.peak(full) + heads)
    load = partial(_load, spec, device, layout, targets, activation, progress or Progress())
    return LoadPlan(taken, load, activation)


def check_model(spec: ModelSpec, place: torch.device, dtype: torch.dtype) -> tuple[Layout, Mapping[str, Target]]:
    """The network without weights, and where each tensor of the checkpoint goes. Raises ModelInvalid by name."""
    with torch.inference_mode(), torch.device("meta"):
        blank = Network(spec, resolve_attention(place, dtype)).to(dtype).eval()
    layout = lay_out(blank, dtype)
    return layout, match(spec.tensors, layout.shapes, key_maps(spec, blank.body))


def load_model(spec: ModelSpec, device: Device, dtype: torch.dtype) -> LoadedModel:
    """Build a model and fill it from its checkpoint. Blocks; call it off the event loop."""
    return plan_model(spec, device, dtype).load()


def _load(
    spec: ModelSpec,
    device: Device,
    layout: Layout,
    targets: Mapping[str, Target],
    activation: int,
    progress: Progress,
) -> LoadedModel:
    progress.enter("read", sum(spec.tensors[name].nbytes for name in targets))
    with torch.inference_mode():
        weights = device_memory(layout.bytes, device)
        # Reading needs the interpreter only to begin; parsing a tokenizer keeps it from beginning to end.
        reading = Event()
        filled = beside(
            partial(fill, layout.views(weights), spec.tensors, targets, reading=reading.set, read=progress.advance)
        )
        filled.add_done_callback(lambda _: reading.set())
        reading.wait()
        tokenizer = Tokenizer(
            spec.folder / "tokenizer.json",
            lowercase=spec.lowercase,
            vocabulary=spec.config["vocab_size"],
            typed=spec.typed,
        )
        filled.result()
        progress.enter("check")
        model = LoadedModel(
            spec=spec,
            tokenizer=tokenizer,
            device=device,
            layout=layout,
            weights=weights,
            network=cast(Network, layout.bind(weights)),
            activation=activation,
        )
        _refuse_not_finite(model, targets)
    if not device.on_cuda:
        return model
    torch.cuda.current_stream(device.place).synchronize()
    return replace(model, activation=device.workers * _measured(model))


def _refuse_not_finite(model: LoadedModel, targets: Mapping[str, Target]) -> None:
    """Look at every weight, and at what the body makes of a few tokens."""
    refuse_not_finite(model.layout.views(model.weights), targets)
    few = np.arange(min(TRIED, model.spec.max_tokens, model.spec.config["vocab_size"]), dtype=np.int32)
    refuse_overflow(model.network.body(model.pack([Encoded(few, outputs=model.spec.outputs)]).tokens))


def _measured(model: LoadedModel) -> int:
    """Bytes of activations that a batch of the full budget takes."""
    full, longest = _full_batch(model.spec, model.device), model.spec.max_tokens
    outputs = model.spec.outputs

    def run(tokens: int) -> None:
        lengths = [longest] * (tokens // longest) + [tokens % longest] * bool(tokens % longest)
        model.run(model.pack([Encoded(np.zeros(length, dtype=np.int32), outputs=outputs) for length in lengths]))

    run(LEAST)  # the first pass also allocates the work space of the libraries, once per process
    calibration = calibrate(run, powers_of_two(full), model.device.place)
    return calibration.at(full) if calibration.peaks else model.activation


def _full_batch(spec: ModelSpec, device: Device) -> int:
    """Tokens. An input above the budget goes alone."""
    return max(device.batch_tokens, spec.max_tokens)


def _tokenizer_bytes(spec: ModelSpec) -> int:
    return TOKENIZER_BYTES * (spec.folder / "tokenizer.json").stat().st_size
