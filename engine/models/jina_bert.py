"""JinaBERT v2: BERT with ALiBi both ways in place of positions, and a gated network (Günther et al. 2023).

The code models (`jina-bert-v2-qk-post-norm`) also normalise queries and keys, add the block's input twice, and have the
gate's rows last. Their names are BERT's own otherwise, so only the code that the config points to tells them apart.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor, nn

from engine.errors import ArchitectureUnknown
from engine.layers.alibi import alibi
from engine.layers.attention import Attention, Bias
from engine.layers.embedding import Embedding, TypeEmbedding
from engine.layers.encoder import Angles, EncoderConfig, EncoderLayer, SelfAttention, positions_of
from engine.layers.gated import GatedMlp
from engine.layers.tokens import Sequences, Tokens
from engine.models import bert
from engine.weights import KeyMap

GATES = {"geglu": "gelu", "reglu": "relu"}
"""The activation of each gated network."""
CODE = "qk-post-norm"


@dataclass(frozen=True, slots=True, kw_only=True)
class JinaBertConfig(EncoderConfig):
    """What decides the network."""

    type_vocab_size: int
    qk_norm: bool
    """A code model."""


def read_config(config: Mapping[str, Any]) -> JinaBertConfig:
    """From a `config.json`; what it asks for and this file does not do is refused."""
    positions_of(config, ("alibi",))
    kind = config.get("feed_forward_type") or "geglu"
    if kind not in GATES:
        raise ArchitectureUnknown(f"The feed_forward_type {kind!r} is not known here. Known: {', '.join(GATES)}.")
    code = json.dumps([config.get("auto_map"), config.get("_name_or_path")])
    return JinaBertConfig.from_json(config, hidden_act=GATES[kind], qk_norm=CODE in code)


class JinaBertEmbeddings(nn.Module):
    """Words and token types, summed and normalised."""

    def __init__(self, config: JinaBertConfig) -> None:
        super().__init__()
        self.word = Embedding(config.vocab_size, config.hidden_size)
        self.token_type = TypeEmbedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.norm(self.word(tokens.ids) + self.token_type(tokens.types))
        return x


class NormedAttention(SelfAttention):
    """Queries and keys are normalised, over all heads at once."""

    def __init__(self, config: JinaBertConfig, attend: Attention) -> None:
        super().__init__(config, attend)
        self.q_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.k_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(T, H) -> queries, keys and values 3 x (T, heads, D)."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        shape = (x.shape[0], self.heads, -1)
        return self.q_norm(q).view(shape), self.k_norm(k).view(shape), v.view(shape)


class CodeLayer(EncoderLayer):
    """Adds its input twice, and normalises after each."""

    def __init__(self, config: JinaBertConfig, attention: nn.Module, mlp: nn.Module) -> None:
        super().__init__(config, attention, mlp)
        self.second_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def attended(self, x: Tensor, sequences: Sequences, angles: Angles | None, bias: Bias | None) -> Tensor:
        """(T, H) -> (T, H)."""
        once = super().attended(x, sequences, angles, bias)
        twice: Tensor = self.second_norm(once.add_(x))
        return twice


class JinaBert(nn.Module):
    """The encoder without a head."""

    def __init__(self, config: JinaBertConfig, attend: Attention) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.embeddings = JinaBertEmbeddings(config)
        self.layers = nn.ModuleList(_layer(config, attend) for _ in range(config.num_hidden_layers))

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.embeddings(tokens)
        bias = cache(lambda length: alibi(self.heads, length, x.device))
        for layer in self.layers:
            x = layer(x, tokens.sequences, bias=bias)
        return x


def _layer(config: JinaBertConfig, attend: Attention) -> EncoderLayer:
    mlp = GatedMlp(
        config.hidden_size,
        config.intermediate_size,
        config.hidden_act,
        down_bias=True,
        gate_first=not config.qk_norm,
    )
    if config.qk_norm:
        return CodeLayer(config, NormedAttention(config, attend), mlp)
    return EncoderLayer(config, SelfAttention(config, attend), mlp)


KEYS = KeyMap(
    prefix="bert.",
    renames=(
        (".attention.self.layer_norm_q.", ".attention.q_norm."),
        (".attention.self.layer_norm_k.", ".attention.k_norm."),
        (".layer_norm_1.", ".second_norm."),
        (".layer_norm_2.", ".norm."),
        (".mlp.gated_layers.", ".mlp.gate_up."),
        (".mlp.up_gated_layer.", ".mlp.gate_up."),
        (".mlp.wo.", ".mlp.down."),
        (".mlp.down_layer.", ".mlp.down."),
        (".mlp.layernorm.", ".norm."),
        *bert.RENAMES,
    ),
    fused={"qkv": ("query", "key", "value")},
    ignored=(bert.BUFFERS, r"pooler\.dense\.(weight|bias)", r"(cls|classifier|score)\..*"),
)
