"""GTE's `NewModel` (gte v1.5, gte-multilingual, stella_en_400M, arctic-embed-m-v2): rotary, gated, post-norm.

As transformers' own port, `GteModel`, and as the code that the hub's checkpoints bring, which scales rotary positions
by NTK (https://kexue.fm/archives/9706).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from engine.errors import ArchitectureUnknown
from engine.layers.attention import Attention
from engine.layers.embedding import Embedding, TypeEmbedding
from engine.layers.encoder import EncoderConfig, EncoderLayer, SelfAttention, positions_of
from engine.layers.gated import GatedMlp
from engine.layers.rope import Rope
from engine.layers.tokens import Tokens
from engine.models import bert
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True, kw_only=True)
class GteConfig(EncoderConfig):
    """What decides the network."""

    type_vocab_size: int
    """0: tokens have no types."""
    rope: Rope


def read_config(config: Mapping[str, Any]) -> GteConfig:
    """From a `config.json`; what it asks for and this file does not do is refused."""
    positions_of(config, ("rope",))
    norm = config.get("layer_norm_type") or "layer_norm"
    if norm != "layer_norm" or config.get("logn_attention_scale"):
        raise ArchitectureUnknown(
            f"A GTE with layer_norm_type {norm} and logn_attention_scale {bool(config.get('logn_attention_scale'))} is "
            "not known here."
        )
    return GteConfig.from_json(config, rope=read_rope(config))


def read_rope(config: Mapping[str, Any]) -> Rope:
    """With `ntk` the base is multiplied by the factor, and every frequency divided by factor^(2 / width)."""
    scaling = config.get("rope_scaling") or {}
    if scaling.get("type") != "ntk":
        return Rope.from_json(config, base=10_000.0)
    factor = float(scaling["factor"])
    if scaling.get("mixed_b") is not None or factor <= 1:
        raise ArchitectureUnknown(f"The rope_scaling {dict(scaling)} is not known here.")
    base = float(config.get("rope_theta") or 10_000.0)
    width = config["hidden_size"] // config["num_attention_heads"]
    return Rope(base * factor, factor ** (2 / width))


class GteEmbeddings(nn.Module):
    """Words and, where they have any, types, summed and normalised."""

    def __init__(self, config: GteConfig) -> None:
        super().__init__()
        self.word = Embedding(config.vocab_size, config.hidden_size)
        self.token_type = TypeEmbedding(config.type_vocab_size, config.hidden_size) if config.type_vocab_size else None
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.word(tokens.ids)
        if self.token_type is not None:
            x += self.token_type(tokens.types)
        normed: Tensor = self.norm(x)
        return normed


class Gte(nn.Module):
    """The encoder without a head."""

    def __init__(self, config: GteConfig, attend: Attention) -> None:
        super().__init__()
        self.rope, self.head_dim = config.rope, config.head_dim
        self.embeddings = GteEmbeddings(config)
        self.layers = nn.ModuleList(
            EncoderLayer(config, SelfAttention(config, attend), _mlp(config)) for _ in range(config.num_hidden_layers)
        )

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.embeddings(tokens)
        angles = self.rope.angles(tokens.positions, self.head_dim, x)
        for layer in self.layers:
            x = layer(x, tokens.sequences, angles=angles)
        return x


def _mlp(config: GteConfig) -> GatedMlp:
    return GatedMlp(config.hidden_size, config.intermediate_size, config.hidden_act, down_bias=True, gate_first=False)


KEYS = KeyMap(
    renames=(
        ("new.", ""),
        ("gte.", ""),
        ("encoder.layer.", "layers."),
        (".attention.qkv_proj.", ".attention.qkv."),
        (".attention.o_proj.", ".attention.out."),
        (".attn_ln.", ".attention_norm."),
        (".mlp_ln.", ".norm."),
        (".mlp.up_gate_proj.", ".mlp.gate_up."),
        (".mlp.down_proj.", ".mlp.down."),
        (".self_attn.o_proj.", ".attention.out."),
        (".self_attn.", ".attention."),
        (".post_attention_layernorm.", ".attention_norm."),
        (".post_mlp_layernorm.", ".norm."),
        *bert.RENAMES,
    ),
    fused={"qkv": ("q_proj", "k_proj", "v_proj"), "gate_up": ("up_proj", "gate_proj")},
    ignored=(
        rf"((new|gte)\.)?({bert.BUFFERS})",
        r"((new|gte)\.)?pooler\.dense\.(weight|bias)",
        r"((new|gte)\.)?embeddings\.rotary_emb\..*",
        r"(lm_head|classifier)\..*",
    ),
)
