"""What BERT and its descendants share: blocks that add attention and feed-forward to their input and then normalise."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from torch import Tensor, nn

from engine.errors import ArchitectureUnknown, ModelInvalid
from engine.layers.activation import activation
from engine.layers.attention import Attention, Bias
from engine.layers.rotary import rotate
from engine.layers.tokens import Sequences

Angles = tuple[Tensor, Tensor]
"""Cosines and sines of every token: 2 x (T, 1, D)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """The keys of `config.json` that decide every encoder; a family adds its own."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    layer_norm_eps: float
    hidden_act: str

    @classmethod
    def from_json(cls, config: Mapping[str, Any], **derived: Any) -> Self:
        """Read a `config.json` under the common names of its keys, less what the family derives from it itself.

        Raises ModelInvalid where a key is missing, ArchitectureUnknown for a decoder.
        """
        read = [field.name for field in fields(cls) if field.name not in derived]
        if missing := [key for key in read if key not in config]:
            raise ModelInvalid(f"config.json lacks {', '.join(missing)}.")
        if config["hidden_size"] % config["num_attention_heads"]:
            raise ModelInvalid("config.json says a hidden_size that num_attention_heads does not divide.")
        if config.get("is_decoder"):
            raise ArchitectureUnknown("An encoder with is_decoder true is not known here.")
        return cls(**{key: config[key] for key in read}, **derived)

    @property
    def head_dim(self) -> int:
        """Numbers of each head."""
        return self.hidden_size // self.num_attention_heads


def positions_of(config: Mapping[str, Any], known: tuple[str, ...]) -> str:
    """The `position_embedding_type` of a config, the first of those known where it says none."""
    kind = config.get("position_embedding_type") or known[0]
    if kind not in known:
        raise ArchitectureUnknown(
            f"The position_embedding_type {kind!r} is not known here for this family. Known: {', '.join(known)}."
        )
    return str(kind)


class SelfAttention(nn.Module):
    """Multi-head self-attention within each sequence."""

    def __init__(self, config: EncoderConfig, attend: Attention, *, bias: bool = True) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.scale = config.head_dim**-0.5
        self.attend = attend
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=bias)
        self.out = nn.Linear(config.hidden_size, config.hidden_size, bias=bias)

    def forward(
        self, x: Tensor, sequences: Sequences, *, angles: Angles | None = None, bias: Bias | None = None
    ) -> Tensor:
        """(T, H) -> (T, H); `angles` turns queries and keys, `bias` is added to their products."""
        q, k, v = self.split(x)
        if angles is not None:
            q, k = rotate(q, *angles), rotate(k, *angles)
        out: Tensor = self.out(self.attend(q, k, v, sequences, self.scale, bias=bias).flatten(1))
        return out

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(T, H) -> queries, keys and values 3 x (T, heads, D)."""
        q, k, v = self.qkv(x).view(x.shape[0], 3, self.heads, -1).unbind(1)
        return q, k, v


class Mlp(nn.Module):
    """down(activation(up(x)))."""

    def __init__(self, config: EncoderConfig, *, up_bias: bool = True, down_bias: bool = True) -> None:
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size, bias=up_bias)
        self.activation = activation(config.hidden_act)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=down_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(T, H) -> (T, H)."""
        out: Tensor = self.down(self.activation(self.up(x)))
        return out


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each added to its input and normalised."""

    def __init__(self, config: EncoderConfig, attention: nn.Module, mlp: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = mlp
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self, x: Tensor, sequences: Sequences, *, angles: Angles | None = None, bias: Bias | None = None
    ) -> Tensor:
        """(T, H) -> (T, H)."""
        x = self.attended(x, sequences, angles, bias)
        out: Tensor = self.norm(self.mlp(x).add_(x))
        return out

    def attended(self, x: Tensor, sequences: Sequences, angles: Angles | None, bias: Bias | None) -> Tensor:
        """The first half: (T, H) -> (T, H)."""
        out: Tensor = self.attention_norm(self.attention(x, sequences, angles=angles, bias=bias).add_(x))
        return out


def encoder_layers(config: EncoderConfig, attend: Attention) -> nn.ModuleList:
    """BERT's own blocks."""
    return nn.ModuleList(
        EncoderLayer(config, SelfAttention(config, attend), Mlp(config)) for _ in range(config.num_hidden_layers)
    )
