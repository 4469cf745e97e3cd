"""What the decoders of the Llama lineage share: pre-norm blocks of rotary grouped-query attention and a gated network.

Their families differ in a few settings, which each one's file reads from its `config.json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import ModelInvalid
from engine.layers.attention import Attention
from engine.layers.embedding import Embedding
from engine.layers.gated import GatedMlp
from engine.layers.norm import CentredRmsNorm, RmsNorm
from engine.layers.rope import Rope
from engine.layers.rotary import rotate
from engine.layers.tokens import Sequences, Tokens
from engine.weights import KeyMap

Angles = tuple[Tensor, Tensor]
"""Cosines and sines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    """What decides the network."""

    vocab_size: int
    hidden_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    rms_norm_eps: float
    hidden_act: str
    rope: Rope
    windows: tuple[int | None, ...]
    """For each layer, how many places away a token may look; None: any."""
    causal: bool
    """No token sees a later one."""
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    """Each head's queries and keys are normalised before they turn."""
    centred: bool = False
    """Norms' weights are stored less 1."""
    scaled: bool = False
    """Embeddings are multiplied by the root of their width."""


def read_decoder(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that every decoder's config has under the same names. Raises ModelInvalid."""
    keys = ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size", "rms_norm_eps", "hidden_act")
    if missing := [key for key in (*keys, "num_hidden_layers") if key not in config]:
        raise ModelInvalid(f"config.json lacks {', '.join(missing)}.")
    heads = config["num_attention_heads"]
    groups = config.get("num_key_value_heads") or heads
    if heads % groups or (not config.get("head_dim") and config["hidden_size"] % heads):
        raise ModelInvalid("config.json says num_attention_heads that do not share out among its heads or its width.")
    return {
        **{key: config[key] for key in keys},
        "num_key_value_heads": groups,
        "head_dim": config.get("head_dim") or config["hidden_size"] // heads,
        "causal": config.get("is_causal") is not False,
    }


def window(size: int, *, causal: bool) -> int:
    """How far a token looks by a `sliding_window`, which counts the token itself where attention is causal."""
    return size - 1 if causal else size


def late_windows(config: Mapping[str, Any], *, causal: bool) -> tuple[int | None, ...]:
    """Qwen's windows: by `layer_types`, else from layer `max_window_layers` on where they are used at all."""
    layers, size = int(config["num_hidden_layers"]), config.get("sliding_window")
    if not config.get("use_sliding_window") or size is None:
        return (None,) * layers
    first = config.get("max_window_layers", layers)
    kinds = config.get("layer_types") or ["sliding_attention" if at >= first else "" for at in range(layers)]
    return tuple(window(size, causal=causal) if kind == "sliding_attention" else None for kind in kinds)


def scaled(x: Tensor) -> Tensor:
    """(T, H) times the root of H, rounded to the network's type as in training: for 768 in bfloat16 27.75, not 27.7."""
    return x * torch.tensor(x.shape[1] ** 0.5, dtype=x.dtype).item()


class GroupedAttention(nn.Module):
    """Rotary self-attention whose heads share keys and values in groups."""

    def __init__(
        self, config: DecoderConfig, attend: Attention, *, window: int | None, scale: float, norm: type[RmsNorm]
    ) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.groups = config.num_key_value_heads
        self.attend, self.window, self.scale, self.causal = attend, window, scale, config.causal
        width = config.num_attention_heads * config.head_dim
        self.q = nn.Linear(config.hidden_size, width, bias=config.qkv_bias)
        self.kv = nn.Linear(config.hidden_size, 2 * self.groups * config.head_dim, bias=config.qkv_bias)
        self.q_norm = norm(config.head_dim, config.rms_norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = norm(config.head_dim, config.rms_norm_eps) if config.qk_norm else nn.Identity()
        self.out = nn.Linear(width, config.hidden_size, bias=config.out_bias)

    def forward(self, x: Tensor, sequences: Sequences, angles: Angles) -> Tensor:
        """(T, H) -> (T, H)."""
        q = self.q(x).view(x.shape[0], -1, self.head_dim)  # (T, heads, D)
        k, v = self.kv(x).view(x.shape[0], 2, self.groups, self.head_dim).unbind(1)  # 2 x (T, groups, D)
        q, k = rotate(self.q_norm(q), *angles), rotate(self.k_norm(k), *angles)
        attended = self.attend(q, k, v, sequences, self.scale, causal=self.causal, window=self.window)
        out: Tensor = self.out(attended.flatten(1))
        return out


class DecoderLayer(nn.Module):
    """Attention and feed-forward, each on its normalised input and added to it."""

    def __init__(self, config: DecoderConfig, attend: Attention, window: int | None) -> None:
        super().__init__()
        norm = CentredRmsNorm if config.centred else RmsNorm
        self.attention_norm = norm(config.hidden_size, config.rms_norm_eps)
        scale = config.head_dim**-0.5
        self.attention = GroupedAttention(config, attend, window=window, scale=scale, norm=norm)
        self.norm = norm(config.hidden_size, config.rms_norm_eps)
        self.mlp = GatedMlp(config.hidden_size, config.intermediate_size, config.hidden_act, bias=config.mlp_bias)

    def forward(self, x: Tensor, sequences: Sequences, angles: Angles) -> Tensor:
        """(T, H) -> (T, H)."""
        x = self.attention(self.attention_norm(x), sequences, angles).add_(x)
        out: Tensor = self.mlp(self.norm(x)).add_(x)
        return out


class Decoder(nn.Module):
    """The network without a head."""

    def __init__(self, config: DecoderConfig, attend: Attention) -> None:
        super().__init__()
        self.head_dim, self.rope, self.scaled = config.head_dim, config.rope, config.scaled
        self.word = Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, attend, window) for window in config.windows)
        self.norm = (CentredRmsNorm if config.centred else RmsNorm)(config.hidden_size, config.rms_norm_eps)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.word(tokens.ids)
        if self.scaled:
            x = scaled(x)
        angles = self.rope.angles(tokens.positions, self.head_dim, x)
        for layer in self.layers:
            x = layer(x, tokens.sequences, angles)
        out: Tensor = self.norm(x)
        return out


KEYS = KeyMap(
    prefix="model.",
    renames=(
        ("embed_tokens.", "word."),
        (".self_attn.q_proj.", ".attention.q."),
        (".self_attn.o_proj.", ".attention.out."),
        (".self_attn.", ".attention."),
        (".input_layernorm.", ".attention_norm."),
        (".post_attention_layernorm.", ".norm."),
        (".down_proj.", ".down."),
    ),
    fused={"kv": ("k_proj", "v_proj"), "gate_up": ("gate_proj", "up_proj")},
    # What turns hidden states into tokens or labels, and buffers that old checkpoints store.
    ignored=(r"lm_head\.weight", r"(score|classifier)\.(weight|bias)", r".*rotary_emb\.inv_freq"),
)
"""How all of them name their tensors."""
