"""BERT: learned absolute positions, post-norm, exact or tanh GELU (Devlin et al. 2018; Hugging Face `BertModel`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from engine.layers.attention import Attention
from engine.layers.embedding import Embedding, TypeEmbedding
from engine.layers.encoder import EncoderConfig, encoder_layers, positions_of
from engine.layers.tokens import Tokens
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True, kw_only=True)
class BertConfig(EncoderConfig):
    """The keys of `config.json` that decide the network; all are required."""

    type_vocab_size: int


def read_config(config: Mapping[str, Any]) -> BertConfig:
    """From a `config.json`; what it asks for and this file does not do is refused."""
    positions_of(config, ("absolute",))
    return BertConfig.from_json(config)


class BertEmbeddings(nn.Module):
    """Words, positions and token types, summed and normalised."""

    def __init__(self, config: BertConfig, width: int) -> None:
        super().__init__()
        self.word = Embedding(config.vocab_size, width)
        self.position = Embedding(config.max_position_embeddings, width)
        self.token_type = TypeEmbedding(config.type_vocab_size, width)
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, width)."""
        x: Tensor = self.norm(self.word(tokens.ids) + self.position(tokens.positions) + self.token_type(tokens.types))
        return x


class Bert(nn.Module):
    """The encoder without a head."""

    def __init__(self, config: BertConfig, attend: Attention) -> None:
        super().__init__()
        self.embeddings = BertEmbeddings(config, config.hidden_size)
        self.layers = encoder_layers(config, attend)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.embeddings(tokens)
        for layer in self.layers:
            x = layer(x, tokens.sequences)
        return x


RENAMES = (
    (".gamma", ".weight"),
    (".beta", ".bias"),
    ("embeddings.word_embeddings", "embeddings.word"),
    ("embeddings.position_embeddings", "embeddings.position"),
    ("embeddings.token_type_embeddings", "embeddings.token_type"),
    ("embeddings.LayerNorm", "embeddings.norm"),
    ("encoder.layer.", "layers."),
    (".attention.self.", ".attention."),
    (".attention.output.dense", ".attention.out"),
    (".attention.output.LayerNorm", ".attention_norm"),
    (".intermediate.dense", ".mlp.up"),
    (".output.dense", ".mlp.down"),
    (".output.LayerNorm", ".norm"),
)
"""Its descendants kept most of these names."""
BUFFERS = r"embeddings\.(position_ids|token_type_ids)"
"""That old checkpoints store."""

KEYS = KeyMap(
    prefix="bert.",
    renames=RENAMES,
    fused={"qkv": ("query", "key", "value")},
    ignored=(BUFFERS, r"pooler\.dense\.(weight|bias)", r"cls\..*", r"(classifier|score)\.(weight|bias)"),
)
