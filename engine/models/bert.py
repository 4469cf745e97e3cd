"""BERT: learned absolute positions, post-norm, exact or tanh GELU (Devlin et al. 2018; Hugging Face `BertModel`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from engine.errors import ArchitectureUnknown, ModelInvalid
from engine.layers.activation import activation
from engine.layers.attention import Attention
from engine.layers.embedding import Embedding
from engine.layers.tokens import Sequences, Tokens
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The keys of `config.json` that decide the network; all are required."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float
    hidden_act: str

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> Self:
        """Read a `config.json`; refuse what it asks for and this file does not do."""
        if missing := [key for key in cls.__slots__ if key not in config]:
            raise ModelInvalid(f"config.json lacks {', '.join(missing)}.")
        positions = config.get("position_embedding_type") or "absolute"
        if positions != "absolute" or config.get("is_decoder"):
            raise ArchitectureUnknown(
                f"A BERT with position_embedding_type {positions} and is_decoder {bool(config.get('is_decoder'))} is "
                "not known here."
            )
        if config["hidden_size"] % config["num_attention_heads"]:
            raise ModelInvalid("config.json says a hidden_size that num_attention_heads does not divide.")
        return cls(**{key: config[key] for key in cls.__slots__})


class BertEmbeddings(nn.Module):
    """Words, positions and token types, summed and normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word = Embedding(config.vocab_size, config.hidden_size)
        self.position = Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type = Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        types = self.token_type.weight[0] if tokens.types is None else self.token_type(tokens.types)
        x: Tensor = self.norm(self.word(tokens.ids) + self.position(tokens.positions) + types)
        return x


class BertAttention(nn.Module):
    """Multi-head self-attention within each sequence."""

    def __init__(self, config: BertConfig, attend: Attention) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.scale = (config.hidden_size // config.num_attention_heads) ** -0.5
        self.attend = attend
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        """(T, H) -> (T, H)."""
        q, k, v = self.qkv(x).view(x.shape[0], 3, self.heads, -1).unbind(1)  # 3 x (T, heads, D)
        out: Tensor = self.out(self.attend(q, k, v, sequences, self.scale).flatten(1))
        return out


class BertLayer(nn.Module):
    """Attention and feed-forward, each added to its input and normalised."""

    def __init__(self, config: BertConfig, attend: Attention) -> None:
        super().__init__()
        self.attention = BertAttention(config, attend)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = activation(config.hidden_act)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        """(T, H) -> (T, H)."""
        x = self.attention_norm(self.attention(x, sequences).add_(x))
        out: Tensor = self.norm(self.down(self.activation(self.up(x))).add_(x))
        return out


class Bert(nn.Module):
    """The encoder without a head."""

    def __init__(self, config: BertConfig, attend: Attention) -> None:
        super().__init__()
        self.embeddings = BertEmbeddings(config)
        self.layers = nn.ModuleList(BertLayer(config, attend) for _ in range(config.num_hidden_layers))

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.embeddings(tokens)
        for layer in self.layers:
            x = layer(x, tokens.sequences)
        return x


KEYS = KeyMap(
    prefix="bert.",
    renames=(
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
        (".intermediate.dense", ".up"),
        (".output.dense", ".down"),
        (".output.LayerNorm", ".norm"),
    ),
    fused={"qkv": ("query", "key", "value")},
    # The heads of pre-training, and buffers that old checkpoints store.
    ignored=(r"embeddings\.(position_ids|token_type_ids)", r"pooler\.dense\.(weight|bias)", r"cls\..*"),
)
