"""NomicBERT v1, v1.5 and v2-MoE: rotary, gated or mixture of experts, post-norm (Nussbaum et al. 2024, 2025).

As transformers' own port and as the code that the hub's checkpoints bring, whose configs have GPT-2's names. Positions
beyond the trained ones turn by a base that grows with the text's own length (dynamic NTK), where the config says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.errors import ArchitectureUnknown, ModelInvalid
from engine.layers.activation import activation
from engine.layers.attention import Attention
from engine.layers.embedding import Embedding, TypeEmbedding
from engine.layers.encoder import Angles, EncoderConfig, EncoderLayer, Mlp, SelfAttention
from engine.layers.gated import GatedMlp
from engine.layers.rope import Rope
from engine.layers.rotary import turned
from engine.layers.tokens import Tokens
from engine.models import bert
from engine.weights import KeyMap

GATES = {"swiglu": "silu", "geglu": "gelu", "glu": "sigmoid"}
"""The activation of each gated network; `gelu` is without a gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NomicBertConfig(EncoderConfig):
    """What decides the network."""

    type_vocab_size: int
    """0: tokens have no types."""
    gated: bool
    rope: Rope
    stretch: float | None
    """How fast the base grows beyond the trained positions; None: not at all."""
    trained_positions: int
    qkv_bias: bool
    up_bias: bool
    down_bias: bool
    experts: int
    """0: no layer has any."""
    experts_every: int
    """One layer of so many, from the second on, has experts."""
    experts_used: int
    """By each token."""

    def has_experts(self, layer: int) -> bool:
        """Whether this layer is a mixture."""
        return self.experts > 0 and layer % self.experts_every == 1


def read_config(config: Mapping[str, Any]) -> NomicBertConfig:
    """From a `config.json` of either kind; what it asks for and this file does not do is refused."""
    unknown = {
        "prenorm": False,
        "causal": False,
        "parallel_block": False,
        "rotary_emb_interleaved": False,
        "rotary_emb_fraction": 1.0,
        "rotary_emb_scale_base": None,
        "use_rms_norm": False,
        "moe_normalize_expert_weights": False,
        "expert_choice_router": False,
        "num_shared_experts": 0,
        "ffn_div": 1,
    }
    if asked := [key for key, plain in unknown.items() if config.get(key, plain) not in (plain, None)]:
        said = ", ".join(f"{key} {config[key]}" for key in asked)
        raise ArchitectureUnknown(f"A NomicBERT with {said} is not known here.")
    function = config.get("activation_function")
    native = function is None
    if not native and function != "gelu" and function not in GATES:
        raise ArchitectureUnknown(f"The activation_function {function!r} is not known here for this family.")
    rope, stretch = _read_rope(config)
    trained = config.get("max_position_embeddings") if native else config.get("max_trained_positions") or 2048
    every = config.get("moe_every_n_layers") or 0
    if every and not (config.get("num_experts") and config.get("moe_top_k")):
        raise ModelInvalid("config.json says moe_every_n_layers without num_experts and moe_top_k.")
    return NomicBertConfig.from_json(
        config,
        hidden_act=config.get("hidden_act") if native else GATES.get(str(function), "gelu"),
        gated=native or function in GATES,
        rope=rope,
        stretch=stretch,
        trained_positions=trained,
        qkv_bias=bool(config.get("qkv_proj_bias", not native)),
        up_bias=bool(config.get("mlp_fc1_bias", not native)),
        down_bias=bool(config.get("mlp_fc2_bias", not native)),
        experts=config["num_experts"] if every else 0,
        experts_every=max(every, 1),
        experts_used=config["moe_top_k"] if every else 0,
    )


def _read_rope(config: Mapping[str, Any]) -> tuple[Rope, float | None]:
    """The frequencies of trained positions, and how they stretch beyond."""
    given = config.get("rope_parameters") or {}
    if given.get("rope_type") == "dynamic":
        return Rope(float(given["rope_theta"])), float(given["factor"])
    rope = Rope.from_json(config, base=10_000.0, key="rotary_emb_base")
    return rope, config.get("rotary_scaling_factor")


class NomicBertEmbeddings(nn.Module):
    """Words and, where they have any, types, summed and normalised."""

    def __init__(self, config: NomicBertConfig) -> None:
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


class Experts(nn.Module):
    """For each token the networks that its router likes best, weighted by how much (Shazeer et al. 2017)."""

    def __init__(self, config: NomicBertConfig) -> None:
        super().__init__()
        self.count, self.used = config.experts, config.experts_used
        rows = config.experts * config.intermediate_size
        self.router = nn.Linear(config.hidden_size, config.experts, bias=False)
        self.up = nn.Parameter(torch.empty(rows, config.hidden_size), requires_grad=False)
        self.activation = activation(config.hidden_act)
        self.down = nn.Parameter(torch.empty(rows, config.hidden_size), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(config.hidden_size), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(T, H) -> (T, H)."""
        weights, chosen = self.router(x).float().softmax(-1).topk(self.used)  # 2 x (T, used)
        weights = weights.to(x.dtype)
        out = self.bias.repeat(x.shape[0], 1)
        for expert, (up, down) in enumerate(zip(self.up.chunk(self.count), self.down.chunk(self.count), strict=True)):
            rows, places = torch.where(chosen == expert)
            said = self.activation(functional.linear(x[rows], up)) @ down
            out.index_add_(0, rows, said.mul_(weights[rows, places, None]))
        return out


class NomicBert(nn.Module):
    """The encoder without a head."""

    def __init__(self, config: NomicBertConfig, attend: Attention) -> None:
        super().__init__()
        self.config = config
        self.embeddings = NomicBertEmbeddings(config)
        self.layers = nn.ModuleList(
            EncoderLayer(config, SelfAttention(config, attend, bias=config.qkv_bias), _mlp(config, layer))
            for layer in range(config.num_hidden_layers)
        )

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.embeddings(tokens)
        angles = self.angles(tokens, x)
        for layer in self.layers:
            x = layer(x, tokens.sequences, angles=angles)
        return x

    def angles(self, tokens: Tokens, like: Tensor) -> Angles:
        """Each text longer than the trained positions turns by frequencies of its own."""
        config, runs = self.config, tokens.sequences.runs
        if config.stretch is None or tokens.sequences.max_seqlen <= config.trained_positions:
            return config.rope.angles(tokens.positions, config.head_dim, like)
        frequencies = [self.frequencies(run.length, like.device).expand(run.count * run.length, -1) for run in runs]
        return turned(tokens.positions, torch.cat(frequencies), like)

    def frequencies(self, length: int, device: torch.device) -> Tensor:
        """Of a text so long: (D / 2,)."""
        config = self.config
        beyond = max(length / config.trained_positions, 1.0)
        width, stretch = config.head_dim, config.stretch or 1.0
        base = config.rope.base * (stretch * beyond - (stretch - 1)) ** (width / (width - 2))
        return Rope(base).frequencies(width, device)


def _mlp(config: NomicBertConfig, layer: int) -> nn.Module:
    if config.has_experts(layer):
        return Experts(config)
    if not config.gated:
        return Mlp(config, up_bias=config.up_bias, down_bias=config.down_bias)
    return GatedMlp(
        config.hidden_size,
        config.intermediate_size,
        config.hidden_act,
        bias=config.up_bias,
        down_bias=config.down_bias,
    )


KEYS = KeyMap(
    prefix="nomic_bert.",
    renames=(
        ("bert.", ""),  # some of the hub's
        ("emb_ln.", "embeddings.norm."),
        ("encoder.layers.", "layers."),
        (".mlp.experts.mlp.w1", ".mlp.up"),
        (".mlp.experts.mlp.w2", ".mlp.down"),
        (".mlp.experts.bias", ".mlp.bias"),
        (".mlp.router.layer.", ".mlp.router."),
        (".attn.Wqkv.", ".attention.qkv."),
        (".attn.out_proj.", ".attention.out."),
        (".self_attn.o_proj.", ".attention.out."),
        (".self_attn.", ".attention."),
        (".mlp.fc1.", ".mlp.up."),
        (".mlp.fc2.", ".mlp.down."),
        (".mlp.down_proj.", ".mlp.down."),
        (".mlp.gate_proj.", ".mlp.fc12."),
        (".mlp.up_proj.", ".mlp.fc11."),
        (".norm1.", ".attention_norm."),
        (".norm2.", ".norm."),
        (".post_attention_layernorm.", ".attention_norm."),
        (".post_mlp_layernorm.", ".norm."),
        *bert.RENAMES,
    ),
    fused={"qkv": ("q_proj", "k_proj", "v_proj"), "gate_up": ("fc12", "fc11")},
    ignored=(
        bert.BUFFERS,
        r"(bert\.)?pooler\.dense\.(weight|bias)",
        r".*rotary_emb\.inv_freq",
        r"(cls|lm_head|classifier)\..*",
    ),
)
