"""MPNet: one table of biases by distance, shared by all layers, beside learned positions (Song et al. 2020).

As Hugging Face's `MPNetModel`: no types of tokens, and positions start after the padding token's id.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from engine.architectures import first_position
from engine.errors import ArchitectureUnknown
from engine.layers.attention import Attention
from engine.layers.embedding import Embedding
from engine.layers.encoder import EncoderConfig, encoder_layers
from engine.layers.tokens import Tokens
from engine.models import bert
from engine.weights import KeyMap

BUCKETS = 32
FARTHEST = 128
"""All greater distances share a bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MpnetConfig(EncoderConfig):
    """What decides the network."""

    first_position: int


def read_config(config: Mapping[str, Any]) -> MpnetConfig:
    """From a `config.json`; what it asks for and this file does not do is refused."""
    buckets = config.get("relative_attention_num_buckets", BUCKETS)
    if buckets != BUCKETS:  # the reference has another table then, and reads it as if it had so many
        raise ArchitectureUnknown(f"An MPNet with {buckets} buckets of distances is not known here, only {BUCKETS}.")
    return MpnetConfig.from_json(config, first_position=first_position(config, "mpnet"))


def bucket_of(away: Tensor) -> Tensor:
    """The bucket of each distance of a key from its query: (N,) -> (N,).

    Half of them are for keys that come later; in each half, one for each distance below 8, then wider ones in
    proportion to the distance (Raffel et al. 2020).
    """
    half = BUCKETS // 2
    exact = half // 2
    far = away.abs()
    steps = torch.log(far.float() / exact) / math.log(FARTHEST / exact) * (half - exact)
    wide = (exact + steps.clamp(min=0).long()).clamp(max=half - 1)
    return torch.where(far < exact, far, wide) + half * (away > 0)


class MpnetEmbeddings(nn.Module):
    """Words and positions, summed and normalised."""

    def __init__(self, config: MpnetConfig) -> None:
        super().__init__()
        self.first_position = config.first_position
        self.word = Embedding(config.vocab_size, config.hidden_size)
        self.position = Embedding(config.max_position_embeddings, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.norm(self.word(tokens.ids) + self.position(tokens.positions + self.first_position))
        return x


class Mpnet(nn.Module):
    """The encoder without a head."""

    def __init__(self, config: MpnetConfig, attend: Attention) -> None:
        super().__init__()
        self.embeddings = MpnetEmbeddings(config)
        self.distance = Embedding(BUCKETS, config.num_attention_heads)
        self.layers = encoder_layers(config, attend)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.embeddings(tokens)
        bias = cache(self.bias)
        for layer in self.layers:
            x = layer(x, tokens.sequences, bias=bias)
        return x

    def bias(self, length: int) -> Tensor:
        """Of a sequence so long: (heads, 2 length - 1)."""
        # Buckets on the host: another device's logarithm may put a distance at a border on its other side.
        buckets = bucket_of(torch.arange(1 - length, length))
        line: Tensor = self.distance(buckets.to(self.distance.weight.device)).t().contiguous()
        return line


KEYS = KeyMap(
    prefix="mpnet.",
    renames=(
        ("encoder.relative_attention_bias", "distance"),
        (".attention.attn.o.", ".attention.out."),
        (".attention.attn.", ".attention."),
        (".attention.LayerNorm.", ".attention_norm."),
        *bert.RENAMES,
    ),
    fused={"qkv": ("q", "k", "v")},
    ignored=(bert.BUFFERS, r"pooler\.dense\.(weight|bias)", r"(lm_head|classifier)\..*"),
)
