"""RoBERTa, XLM-R and CamemBERT: BERT whose first position comes after the padding token's id, with one type of token.

Also Jina's rewriting of XLM-R ("flash": fused projections, other names), with learned or rotary positions: Jina v3 and
Jina ColBERT v2 are rotary, Jina Reranker v2 is not. The reference numbers padding tokens inside a text otherwise; a
text has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from engine.architectures import first_position
from engine.layers.attention import Attention
from engine.layers.embedding import Embedding, TypeEmbedding
from engine.layers.encoder import EncoderConfig, encoder_layers, positions_of
from engine.layers.rope import Rope
from engine.layers.tokens import Tokens
from engine.models import bert
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True, kw_only=True)
class RobertaConfig(EncoderConfig):
    """What decides the network."""

    type_vocab_size: int
    first_position: int
    rope: Rope | None
    """None: positions are learned."""


def read_config(config: Mapping[str, Any]) -> RobertaConfig:
    """From a `config.json`; what it asks for and this file does not do is refused."""
    rotary = positions_of(config, ("absolute", "rotary")) == "rotary"
    return RobertaConfig.from_json(
        config,
        first_position=first_position(config, "roberta"),
        rope=Rope.from_json(config, base=10_000.0, key="rotary_emb_base") if rotary else None,
    )


class RobertaEmbeddings(nn.Module):
    """Words, positions where they are learned, and the one token type, summed and normalised."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        self.first_position = config.first_position
        self.word = Embedding(config.vocab_size, config.hidden_size)
        self.position = Embedding(config.max_position_embeddings, config.hidden_size) if config.rope is None else None
        self.token_type = TypeEmbedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.word(tokens.ids) + self.token_type(tokens.types)
        if self.position is not None:
            x += self.position(tokens.positions + self.first_position)
        normed: Tensor = self.norm(x)
        return normed


class Roberta(nn.Module):
    """The encoder without a head."""

    def __init__(self, config: RobertaConfig, attend: Attention) -> None:
        super().__init__()
        self.rope, self.head_dim = config.rope, config.head_dim
        self.embeddings = RobertaEmbeddings(config)
        self.layers = encoder_layers(config, attend)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.embeddings(tokens)
        angles = self.rope.angles(tokens.positions, self.head_dim, x) if self.rope is not None else None
        for layer in self.layers:
            x = layer(x, tokens.sequences, angles=angles)
        return x


FLASH = (
    (".parametrizations.weight.original", ".weight"),
    ("emb_ln", "embeddings.norm"),
    ("encoder.layers.", "layers."),
    (".mixer.Wqkv", ".attention.qkv"),
    (".mixer.out_proj", ".attention.out"),
    (".norm1.", ".attention_norm."),
    (".norm2.", ".norm."),
    (".mlp.fc1.", ".mlp.up."),
    (".mlp.fc2.", ".mlp.down."),
)
NATIVE = (
    (".self_attn.o_proj.", ".attention.out."),
    (".self_attn.q_proj.", ".attention.query."),
    (".self_attn.k_proj.", ".attention.key."),
    (".self_attn.v_proj.", ".attention.value."),
    (".post_attention_layernorm.", ".attention_norm."),
    (".post_mlp_layernorm.", ".norm."),
)
"""Of transformers' own port of Jina v3."""

KEYS = KeyMap(
    prefix="roberta.",
    renames=(*bert.RENAMES, *FLASH, *NATIVE),
    fused={"qkv": ("query", "key", "value")},
    ignored=(
        bert.BUFFERS,
        r"pooler\.dense\.(weight|bias)",
        r"pooler\.dense\.parametrizations\..*",
        r"lm_head\..*",
        r"classifier\..*",
        # Jina v3's adapters: without a task they are off.
        r".*\.parametrizations\.weight\.\d+\.lora_[AB]",
    ),
)
