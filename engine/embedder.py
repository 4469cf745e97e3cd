"""A loaded embedding model: token ids in, one finished vector per sequence out; and its way to host memory and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.batch import PackedBatch, TokenIds, pack
from engine.buffers import HostBuffer, device_memory, to_device, to_host
from engine.calibration import LEAST, Shape, calibrate, powers_of_two
from engine.catalog import ModelSpec
from engine.device import Device
from engine.heads.pooling import POOLINGS, Pooling
from engine.heads.vectors import Vectors, normalize
from engine.layers.attention import resolve_attention
from engine.layout import Layout, lay_out
from engine.models import FAMILIES
from engine.tiers import LoadPlan
from engine.tokenizer import Tokenizer
from engine.weights import Target, fill, match
from engine.work import beside

TOKENIZER_BYTES = 14
"""Of host memory for each byte of a tokenizer.json, whose vocabulary becomes two tables (measured)."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedder:
    """Everything that serves one resident model."""

    spec: ModelSpec
    tokenizer: Tokenizer
    device: Device
    layout: Layout
    weights: Tensor
    """All of them: (bytes,) uint8."""
    network: nn.Module
    """Over the weights."""
    pooling: Pooling
    activation: int = 0
    """Bytes that all batches which run side by side take beside the weights."""

    def pack(self, token_ids: Sequence[TokenIds]) -> PackedBatch:
        """Prepare a batch. May run beside the batch before it."""
        return pack(token_ids, self.device.place)

    @torch.inference_mode()
    def run(self, batch: PackedBatch) -> Vectors:
        """One vector per sequence, in the order that `pack` was given them: (B, H)."""
        hidden: Tensor = self.network(batch.input_ids, batch.positions, batch.sequences)  # (T, H)
        pooled = cast(Vectors, self.pooling(hidden.float(), batch.sequences).cpu().numpy())  # (B, H), shortest first
        vectors = np.empty_like(pooled)
        vectors[batch.order] = normalize(pooled) if self.spec.normalize else pooled
        return vectors

    @torch.inference_mode()
    def to_host(self) -> "EmbedderInHost":
        """Copy the model to host memory; the device's is freed when nobody holds this one any more. Blocks."""
        return EmbedderInHost(
            to_host(self.weights, self.device),
            self.spec,
            self.tokenizer,
            self.device,
            self.layout,
            self.pooling,
            self.activation,
        )


@dataclass(frozen=True, slots=True, eq=False)
class EmbedderInHost:
    """A model that left the device."""

    buffer: HostBuffer
    spec: ModelSpec
    tokenizer: Tokenizer
    device: Device
    layout: Layout
    pooling: Pooling
    activation: int

    @property
    def bytes(self) -> int:
        """Of host memory, its tokenizer's included."""
        return self.layout.bytes + _tokenizer_bytes(self.spec)

    @torch.inference_mode()
    def to_device(self) -> Embedder:
        """Back, by one copy; the network is bound to its weights while they still come. Blocks."""
        with to_device(self.buffer, self.device) as weights:
            network = self.layout.bind(weights)
        return Embedder(
            self.spec, self.tokenizer, self.device, self.layout, weights, network, self.pooling, self.activation
        )


def plan_embedder(spec: ModelSpec, device: Device, dtype: torch.dtype) -> LoadPlan[Embedder]:
    """Check a checkpoint against its architecture, and say what the model takes, before any memory is asked for."""
    family = FAMILIES[spec.family]
    with torch.inference_mode(), torch.device("meta"):
        blank = family.build(spec.config, resolve_attention(device.place, dtype)).to(dtype).eval()
    layout = lay_out(blank, dtype)
    targets = match(spec.tensors, layout.shapes, family.keys)
    # On the CPU the tokenizer shares the memory that the budget is about.
    taken = layout.bytes + (0 if device.on_cuda else _tokenizer_bytes(spec))
    shape = Shape.of(spec.config, longest=spec.max_tokens, itemsize=dtype.itemsize)
    activation = device.workers * shape.peak(_full_batch(spec, device))
    return LoadPlan(taken, partial(_load, spec, device, layout, targets, activation), activation)


def load_embedder(spec: ModelSpec, device: Device, dtype: torch.dtype) -> Embedder:
    """Build a model and fill it from its checkpoint. Blocks; call it off the event loop."""
    return plan_embedder(spec, device, dtype).load()


def _load(spec: ModelSpec, device: Device, layout: Layout, targets: Mapping[str, Target], activation: int) -> Embedder:
    with torch.inference_mode():
        weights = device_memory(layout.bytes, device)
        # Reading needs the interpreter only to begin; parsing a tokenizer keeps it from beginning to end.
        reading = Event()
        filled = beside(partial(fill, layout.views(weights), spec.tensors, targets, reading.set))
        filled.add_done_callback(lambda _: reading.set())
        reading.wait()
        tokenizer = Tokenizer(
            spec.folder / "tokenizer.json", lowercase=spec.lowercase, vocabulary=spec.config["vocab_size"]
        )
        filled.result()
        embedder = Embedder(
            spec=spec,
            tokenizer=tokenizer,
            device=device,
            layout=layout,
            weights=weights,
            network=layout.bind(weights),
            pooling=POOLINGS[spec.pooling],
            activation=activation,
        )
    if not device.on_cuda:
        return embedder
    torch.cuda.current_stream(device.place).synchronize()
    return replace(embedder, activation=device.workers * _measured(embedder))


def _measured(embedder: Embedder) -> int:
    """Bytes of activations that a batch of the full budget takes."""
    full, longest = _full_batch(embedder.spec, embedder.device), embedder.spec.max_tokens

    def run(tokens: int) -> None:
        lengths = [longest] * (tokens // longest) + [tokens % longest] * bool(tokens % longest)
        embedder.run(embedder.pack([np.zeros(length, dtype=np.int32) for length in lengths]))

    run(LEAST)  # the first pass also allocates the work space of the libraries, once per process
    calibration = calibrate(run, powers_of_two(full), embedder.device.place)
    return calibration.at(full) if calibration.peaks else embedder.activation


def _full_batch(spec: ModelSpec, device: Device) -> int:
    """Tokens. An input above the budget goes alone."""
    return max(device.batch_tokens, spec.max_tokens)


def _tokenizer_bytes(spec: ModelSpec) -> int:
    return TOKENIZER_BYTES * (spec.folder / "tokenizer.json").stat().st_size
