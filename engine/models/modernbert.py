"""ModernBERT: pre-norm, rotary, gated, mostly local (Warner et al. 2024; Hugging Face `ModernBertModel`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from engine.errors import ModelInvalid
from engine.layers.attention import Attention
from engine.layers.embedding import Embedding
from engine.layers.gated import GatedMlp
from engine.layers.rope import Rope
from engine.layers.rotary import rotate
from engine.layers.tokens import Sequences, Tokens
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True, kw_only=True)
class ModernBertConfig:
    """What decides the network."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    layer_norm_eps: float
    hidden_act: str
    norm_bias: bool
    attention_bias: bool
    mlp_bias: bool
    rope: Rope
    local_rope: Rope
    windows: tuple[int | None, ...]
    """For each layer, how many places to either side a token may look; None: any."""

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> Self:
        """Read a `config.json`, of transformers 4 or 5; refuse what it asks for and this file does not do."""
        keys = [key for key in cls.__slots__ if not key.endswith(("_bias", "rope", "windows"))]
        if missing := [key for key in keys if key not in config]:
            raise ModelInvalid(f"config.json lacks {', '.join(missing)}.")
        if config["hidden_size"] % config["num_attention_heads"]:
            raise ModelInvalid("config.json says a hidden_size that num_attention_heads does not divide.")
        every = config.get("global_attn_every_n_layers", 3)
        layers = range(config["num_hidden_layers"])
        kinds = config.get("layer_types") or ["sliding_attention" if layer % every else "" for layer in layers]
        far = config.get("local_attention", 128) // 2
        rope = Rope.from_json(config, base=160_000.0, key="global_rope_theta", kind="full_attention")
        return cls(
            **{key: config[key] for key in keys},
            norm_bias=bool(config.get("norm_bias")),
            attention_bias=bool(config.get("attention_bias")),
            mlp_bias=bool(config.get("mlp_bias")),
            rope=rope,
            local_rope=Rope.from_json(config, base=10_000.0, key="local_rope_theta", kind="sliding_attention"),
            windows=tuple(far if kind == "sliding_attention" else None for kind in kinds),
        )

    def norm(self) -> nn.LayerNorm:
        """Over the hidden size."""
        return nn.LayerNorm(self.hidden_size, eps=self.layer_norm_eps, bias=self.norm_bias)


class ModernBertAttention(nn.Module):
    """Rotary self-attention within each sequence, or within a window of it."""

    def __init__(self, config: ModernBertConfig, attend: Attention, window: int | None) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.scale = (config.hidden_size // config.num_attention_heads) ** -0.5
        self.attend, self.window = attend, window
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=config.attention_bias)
        self.out = nn.Linear(config.hidden_size, config.hidden_size, bias=config.attention_bias)

    def forward(self, x: Tensor, sequences: Sequences, angles: tuple[Tensor, Tensor]) -> Tensor:
        """(T, H) -> (T, H)."""
        q, k, v = self.qkv(x).view(x.shape[0], 3, self.heads, -1).unbind(1)  # 3 x (T, heads, D)
        q, k = rotate(q, *angles), rotate(k, *angles)
        out: Tensor = self.out(self.attend(q, k, v, sequences, self.scale, window=self.window).flatten(1))
        return out


class ModernBertLayer(nn.Module):
    """Attention and feed-forward, each on its normalised input and added to it; the first layer's input is normal."""

    def __init__(self, config: ModernBertConfig, attend: Attention, window: int | None, *, first: bool) -> None:
        super().__init__()
        self.attention_norm = nn.Identity() if first else config.norm()
        self.attention = ModernBertAttention(config, attend, window)
        self.norm = config.norm()
        self.mlp = GatedMlp(config.hidden_size, config.intermediate_size, config.hidden_act, bias=config.mlp_bias)

    def forward(self, x: Tensor, sequences: Sequences, angles: tuple[Tensor, Tensor]) -> Tensor:
        """(T, H) -> (T, H)."""
        x = self.attention(self.attention_norm(x), sequences, angles).add_(x)
        out: Tensor = self.mlp(self.norm(x)).add_(x)
        return out


class ModernBert(nn.Module):
    """The encoder without a head."""

    def __init__(self, config: ModernBertConfig, attend: Attention) -> None:
        super().__init__()
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.rope, self.local_rope, self.windows = config.rope, config.local_rope, config.windows
        self.word = Embedding(config.vocab_size, config.hidden_size)
        self.word_norm = config.norm()
        self.layers = nn.ModuleList(
            ModernBertLayer(config, attend, window, first=not place) for place, window in enumerate(config.windows)
        )
        self.norm = config.norm()

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.word_norm(self.word(tokens.ids))
        everywhere, near = (rope.angles(tokens.positions, self.head_dim, x) for rope in (self.rope, self.local_rope))
        for layer, window in zip(self.layers, self.windows, strict=True):
            x = layer(x, tokens.sequences, everywhere if window is None else near)
        out: Tensor = self.norm(x)
        return out


KEYS = KeyMap(
    prefix="model.",
    renames=(
        ("embeddings.tok_embeddings.", "word."),
        ("embeddings.norm.", "word_norm."),
        ("final_norm.", "norm."),
        (".attn_norm.", ".attention_norm."),
        (".attn.Wqkv.", ".attention.qkv."),
        (".attn.Wo.", ".attention.out."),
        (".mlp_norm.", ".norm."),
        (".Wi.", ".gate_up."),
        (".Wo.", ".down."),
    ),
    # The heads of pre-training and classification, and buffers that old checkpoints store.
    ignored=(r"(head|decoder|classifier)\..*", r".*rotary_emb\.inv_freq"),
)
