"""A loaded embedding model: token ids in, one finished vector per sequence out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.batch import PackedBatch, TokenIds, pack
from engine.catalog import ModelSpec
from engine.device import Device, give_back_memory
from engine.heads.pooling import POOLINGS, Pooling
from engine.heads.vectors import Vectors, normalize
from engine.layers.attention import resolve_attention
from engine.models import FAMILIES
from engine.tokenizer import Tokenizer
from engine.weights import load_weights


@dataclass(frozen=True, slots=True, eq=False)
class Embedder:
    """Everything that serves one resident model."""

    spec: ModelSpec
    tokenizer: Tokenizer
    device: torch.device
    network: nn.Module
    pooling: Pooling

    def pack(self, token_ids: Sequence[TokenIds]) -> PackedBatch:
        """Prepare a batch. May run beside the batch before it."""
        return pack(token_ids, self.device)

    @torch.inference_mode()
    def run(self, batch: PackedBatch) -> Vectors:
        """One vector per sequence, in the order that `pack` was given them: (B, H)."""
        hidden: Tensor = self.network(batch.input_ids, batch.positions, batch.sequences)  # (T, H)
        pooled = cast(Vectors, self.pooling(hidden.float(), batch.sequences).cpu().numpy())  # (B, H), shortest first
        vectors = np.empty_like(pooled)
        vectors[batch.order] = normalize(pooled) if self.spec.normalize else pooled
        return vectors


def load_embedder(spec: ModelSpec, device: Device, dtype: torch.dtype) -> Embedder:
    """Build a model and fill it from its checkpoint. Blocks; call it off the event loop."""
    family = FAMILIES[spec.family]
    with torch.inference_mode():
        with torch.device("meta"):
            network = family.build(spec.config, resolve_attention(device.place, dtype))
        network.to(dtype).to_empty(device=device.place).eval()
        load_weights(network, spec.tensors, family.keys)
    give_back_memory(device)
    return Embedder(
        spec=spec,
        tokenizer=Tokenizer(
            spec.folder / "tokenizer.json", lowercase=spec.lowercase, vocabulary=spec.config["vocab_size"]
        ),
        device=device.place,
        network=network,
        pooling=POOLINGS[spec.pooling],
    )
