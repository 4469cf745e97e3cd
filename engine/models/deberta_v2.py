"""DeBERTa v2 and v3: attention by contents and by distances, apart (He et al. 2021; Hugging Face `DebertaV2Model`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.errors import ArchitectureUnknown, ModelInvalid
from engine.layers.activation import activation
from engine.layers.attention import Attention
from engine.layers.disentangled import Distances, attend_disentangled, buckets
from engine.layers.embedding import Embedding
from engine.layers.tokens import Sequences, Tokens
from engine.weights import KeyMap

BOTH = ("c2p", "p2c")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebertaV2Config:
    """What decides the network."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float
    hidden_act: str
    embedding_size: int
    head_dim: int
    position_biased_input: bool
    """Words come with the embedding of their place."""
    pos_att_type: tuple[str, ...]
    """`c2p`: contents ask for distances; `p2c`: distances ask for contents."""
    share_att_key: bool
    """Distances become keys and queries by the projections of the contents."""
    norm_distances: bool
    span: int
    """Half of the rows in the table of distances; 0: attention knows no distances."""
    logarithmic: tuple[int, int] | None
    """How many buckets for distances up to which, where far distances share them."""
    conv_kernel_size: int
    conv_act: str

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> Self:
        """Read a `config.json`; refuse what it asks for and this file does not do."""
        keys = tuple(cls.__slots__)[:9]
        if missing := [key for key in keys if key not in config]:
            raise ModelInvalid(f"config.json lacks {', '.join(missing)}.")
        kinds = config.get("pos_att_type") or ()
        kinds = tuple(kind.strip() for kind in (kinds.lower().split("|") if isinstance(kinds, str) else kinds))
        if unknown := [kind for kind in kinds if kind not in BOTH]:
            raise ArchitectureUnknown(f"DeBERTa's attention by {', '.join(unknown)} is not known here.")
        kernel = config.get("conv_kernel_size") or 0
        if kernel and (kernel % 2 == 0 or config.get("conv_groups", 1) != 1):
            raise ArchitectureUnknown("A DeBERTa with an even conv_kernel_size or with conv_groups is not known here.")
        if config["hidden_size"] % config["num_attention_heads"]:
            raise ModelInvalid("config.json says a hidden_size that num_attention_heads does not divide.")
        most = config.get("max_relative_positions", -1)
        most = most if most >= 1 else config["max_position_embeddings"]
        size = config.get("position_buckets", -1)
        relative = bool(config.get("relative_attention"))
        return cls(
            **{key: config[key] for key in keys},
            embedding_size=config.get("embedding_size") or config["hidden_size"],
            head_dim=config.get("attention_head_size") or config["hidden_size"] // config["num_attention_heads"],
            position_biased_input=config.get("position_biased_input", True),
            pos_att_type=kinds,
            share_att_key=bool(config.get("share_att_key")),
            norm_distances="layer_norm" in (config.get("norm_rel_ebd") or "none").lower().split("|"),
            span=0 if not relative else size if size > 0 else most,
            logarithmic=(size, most) if size > 0 else None,
            conv_kernel_size=kernel,
            conv_act=config.get("conv_act", "tanh"),
        )

    def norm(self) -> nn.LayerNorm:
        """Over the hidden size."""
        return nn.LayerNorm(self.hidden_size, eps=self.layer_norm_eps)


class DebertaEmbeddings(nn.Module):
    """Words, and what the config adds to them, brought to the hidden size and normalised."""

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__()
        width = config.embedding_size
        self.word = Embedding(config.vocab_size, width)
        self.position = Embedding(config.max_position_embeddings, width) if config.position_biased_input else None
        self.token_type = Embedding(config.type_vocab_size, width) if config.type_vocab_size else None
        self.project = nn.Linear(width, config.hidden_size, bias=False) if width != config.hidden_size else None
        self.norm = config.norm()

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.word(tokens.ids)
        if self.position is not None:
            x = x + self.position(tokens.positions)
        if self.token_type is not None:
            x = x + (self.token_type.weight[0] if tokens.types is None else self.token_type(tokens.types))
        if self.project is not None:
            x = self.project(x)
        out: Tensor = self.norm(x)
        return out


@dataclass(frozen=True, slots=True)
class Table:
    """What all layers read of the table of distances."""

    rows: Tensor
    """(R, H): those rows that the batch's longest sequence needs."""
    ascending: Tensor
    """(2 M + 1,): the row of each distance from -M to M."""


class DisentangledAttention(nn.Module):
    """Self-attention within each sequence, by contents and by distances."""

    def __init__(self, config: DebertaV2Config, attend: Attention) -> None:
        super().__init__()
        width = config.num_attention_heads * config.head_dim
        self.heads, self.attend = config.num_attention_heads, attend
        self.scale = (config.head_dim * (1 + len(config.pos_att_type))) ** -0.5
        self.by_key, self.by_query = (kind in config.pos_att_type for kind in BOTH)
        self.qkv = nn.Linear(config.hidden_size, 3 * width)
        own = config.span and not config.share_att_key
        self.distance_key = nn.Linear(config.hidden_size, width) if own and self.by_key else None
        self.distance_query = nn.Linear(config.hidden_size, width) if own and self.by_query else None
        self.out = nn.Linear(width, config.hidden_size)

    def forward(self, x: Tensor, sequences: Sequences, table: Table | None) -> Tensor:
        """(T, H) -> (T, H)."""
        q, k, v = self.qkv(x).view(x.shape[0], 3, self.heads, -1).unbind(1)  # 3 x (T, heads, D)
        if table is None:
            attended = self.attend(q, k, v, sequences, self.scale)
        else:
            attended = attend_disentangled(q, k, v, sequences, self.scale, self._distances(table))
        out: Tensor = self.out(attended.flatten(1))
        return out

    def _distances(self, table: Table) -> Distances:
        keys = self._per_head(table, self.distance_key, 1, table.ascending.flip(0)) if self.by_key else None
        queries = self._per_head(table, self.distance_query, 0, table.ascending) if self.by_query else None
        return Distances(keys, None if queries is None else queries.mul_(self.scale))

    def _per_head(self, table: Table, own: nn.Linear | None, shared: int, order: Tensor) -> Tensor:
        """Rows through their own projection, or through the contents' (0: of queries, 1: of keys): (heads, N, D)."""
        weight, bias = (self.qkv.weight.chunk(3)[shared], self.qkv.bias.chunk(3)[shared])
        if own is not None:
            weight, bias = own.weight, own.bias
        rows = functional.linear(table.rows, weight, bias)  # (R, heads * D)
        return rows.index_select(0, order).view(len(order), self.heads, -1).transpose(0, 1)


class DebertaConv(nn.Module):
    """A convolution over each sequence's words, added to what the first layer makes of them."""

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__()
        width, size = config.hidden_size, config.conv_kernel_size
        self.weight = nn.Parameter(torch.empty(width, width, size), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(width), requires_grad=False)
        self.activation = activation(config.conv_act)
        self.norm = config.norm()

    def forward(self, words: Tensor, x: Tensor, positions: Tensor) -> Tensor:
        """(T, H), the embedded words, and (T, H) -> (T, H)."""
        reach = self.weight.shape[2] // 2
        out = self.bias.expand_as(words).clone()
        for place in range(-reach, reach + 1):
            # A neighbour of the same sequence has the neighbouring position; beyond its ends there is nothing.
            inside = positions.roll(-place) == positions + place
            neighbours = words.roll(-place, 0) * inside[:, None]
            out.add_(functional.linear(neighbours, self.weight[:, :, place + reach]))
        normed: Tensor = self.norm(self.activation(out) + x)
        return normed


class DebertaLayer(nn.Module):
    """Attention and feed-forward, each added to its input and normalised."""

    def __init__(self, config: DebertaV2Config, attend: Attention) -> None:
        super().__init__()
        self.attention = DisentangledAttention(config, attend)
        self.attention_norm = config.norm()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = activation(config.hidden_act)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)
        self.norm = config.norm()

    def forward(self, x: Tensor, sequences: Sequences, table: Table | None) -> Tensor:
        """(T, H) -> (T, H)."""
        x = self.attention_norm(self.attention(x, sequences, table).add_(x))
        out: Tensor = self.norm(self.down(self.activation(self.up(x))).add_(x))
        return out


class DebertaV2(nn.Module):
    """The encoder without a head."""

    def __init__(self, config: DebertaV2Config, attend: Attention) -> None:
        super().__init__()
        self.span, self.logarithmic = config.span, config.logarithmic
        self.embeddings = DebertaEmbeddings(config)
        self.distance = Embedding(2 * config.span, config.hidden_size) if config.span else None
        self.distance_norm = config.norm() if config.norm_distances else nn.Identity()
        self.conv = DebertaConv(config) if config.conv_kernel_size else None
        self.layers = nn.ModuleList(DebertaLayer(config, attend) for _ in range(config.num_hidden_layers))

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.embeddings(tokens)
        words, table = x, self._table(tokens.sequences)
        for place, layer in enumerate(self.layers):
            x = layer(x, tokens.sequences, table)
            if place == 0 and self.conv is not None:
                x = self.conv(words, x, tokens.positions)
        return x

    def _table(self, sequences: Sequences) -> Table | None:
        if self.distance is None:
            return None
        ascending = buckets(sequences.max_seqlen, self.span, self.logarithmic)
        first, last = int(ascending[0]), int(ascending[-1])
        rows = self.distance_norm(self.distance.weight[first : last + 1])
        return Table(rows, (ascending - first).to(rows.device))


KEYS = KeyMap(
    prefix="deberta.",
    renames=(
        ("embeddings.word_embeddings", "embeddings.word"),
        ("embeddings.position_embeddings", "embeddings.position"),
        ("embeddings.token_type_embeddings", "embeddings.token_type"),
        ("embeddings.embed_proj", "embeddings.project"),
        ("embeddings.LayerNorm", "embeddings.norm"),
        ("encoder.layer.", "layers."),
        ("encoder.rel_embeddings", "distance"),
        ("encoder.LayerNorm", "distance_norm"),
        ("encoder.conv.conv.", "conv."),
        ("encoder.conv.LayerNorm", "conv.norm"),
        (".attention.self.", ".attention."),
        (".pos_key_proj.", ".distance_key."),
        (".pos_query_proj.", ".distance_query."),
        (".attention.output.dense", ".attention.out"),
        (".attention.output.LayerNorm", ".attention_norm"),
        (".intermediate.dense", ".up"),
        (".output.dense", ".down"),
        (".output.LayerNorm", ".norm"),
    ),
    fused={"qkv": ("query_proj", "key_proj", "value_proj")},
    # Heads of pre-training and classification, tables that the config says go unused, buffers of old checkpoints.
    ignored=(
        r"embeddings\.(position_ids|position_embeddings\.weight|token_type_embeddings\.weight)",
        r"encoder\.(rel_embeddings|LayerNorm)\..*",
        r"(pooler|cls|lm_predictions|mask_predictions|classifier)\..*",
    ),
)
