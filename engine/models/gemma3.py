"""Gemma 3, text only, and EmbeddingGemma, which is one that looks both ways (Hugging Face `Gemma3TextModel`).

Most layers are local. Every block's parts are normalised before and after, and their norms' weights are stored less 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import Tensor, nn

from engine.errors import ArchitectureUnknown
from engine.layers import decoder
from engine.layers.attention import Attention
from engine.layers.decoder import Angles, DecoderConfig, GroupedAttention, read_decoder, scaled
from engine.layers.embedding import Embedding
from engine.layers.gated import GatedMlp
from engine.layers.norm import CentredRmsNorm
from engine.layers.rope import Rope
from engine.layers.tokens import Sequences, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Gemma3Config(DecoderConfig):
    """A decoder whose local layers turn by angles of their own; `rope` is the global ones'."""

    local_rope: Rope
    query_pre_attn_scalar: float

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> Self:
        """Read a `config.json`; refuse what it asks for and this file does not do."""
        if config.get("attn_logit_softcapping"):
            raise ArchitectureUnknown("A Gemma with attn_logit_softcapping is not known here.")
        causal = not config.get("use_bidirectional_attention")
        size = config["sliding_window"]
        # The size counts both sides where attention is; the token itself where it is causal.
        far = size - 1 if causal else size // 2
        pattern = config.get("sliding_window_pattern") or config.get("_sliding_window_pattern") or 6
        layers = range(1, config["num_hidden_layers"] + 1)
        kinds = config.get("layer_types") or ["sliding_attention" if layer % pattern else "" for layer in layers]
        biased = bool(config.get("attention_bias"))
        return cls(
            **{**read_decoder(config), "causal": causal},
            rope=Rope.from_json(config, base=1_000_000.0, kind="full_attention"),
            local_rope=Rope.from_json(
                {**config, "rope_scaling": None}, base=10_000.0, key="rope_local_base_freq", kind="sliding_attention"
            ),
            windows=tuple(far if kind == "sliding_attention" else None for kind in kinds),
            qkv_bias=biased,
            out_bias=biased,
            qk_norm=True,
            query_pre_attn_scalar=config["query_pre_attn_scalar"],
        )


class Gemma3Layer(nn.Module):
    """Attention and feed-forward, each between two norms and added to its input."""

    def __init__(self, config: Gemma3Config, attend: Attention, window: int | None) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.attention_norm = CentredRmsNorm(width, eps)
        scale = config.query_pre_attn_scalar**-0.5
        self.attention = GroupedAttention(config, attend, window=window, scale=scale, norm=CentredRmsNorm)
        self.attended_norm = CentredRmsNorm(width, eps)
        self.norm = CentredRmsNorm(width, eps)
        self.mlp = GatedMlp(width, config.intermediate_size, config.hidden_act)
        self.mlp_norm = CentredRmsNorm(width, eps)

    def forward(self, x: Tensor, sequences: Sequences, angles: Angles) -> Tensor:
        """(T, H) -> (T, H)."""
        x = self.attended_norm(self.attention(self.attention_norm(x), sequences, angles)).add_(x)
        out: Tensor = self.mlp_norm(self.mlp(self.norm(x))).add_(x)
        return out


class Gemma3(nn.Module):
    """The network without a head."""

    def __init__(self, config: Gemma3Config, attend: Attention) -> None:
        super().__init__()
        self.head_dim, self.rope, self.local_rope = config.head_dim, config.rope, config.local_rope
        self.windows = config.windows
        self.word = Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Gemma3Layer(config, attend, window) for window in config.windows)
        self.norm = CentredRmsNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x = scaled(self.word(tokens.ids))
        everywhere, near = (rope.angles(tokens.positions, self.head_dim, x) for rope in (self.rope, self.local_rope))
        for layer, window in zip(self.layers, self.windows, strict=True):
            x = layer(x, tokens.sequences, everywhere if window is None else near)
        out: Tensor = self.norm(x)
        return out


KEYS = replace(
    decoder.KEYS,
    renames=(
        (".post_attention_layernorm.", ".attended_norm."),
        (".pre_feedforward_layernorm.", ".norm."),
        (".post_feedforward_layernorm.", ".mlp_norm."),
        *decoder.KEYS.renames,
    ),
)
