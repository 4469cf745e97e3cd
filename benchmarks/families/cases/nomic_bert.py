"""NomicBERT: transformers' own layout, the hub's GPT-2-style one, growing bases, and v2's mixture of experts.

What transformers has no port of (experts, biases, other gates) is compared with a plain implementation.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import NomicBertConfig

from benchmarks.families.folder import edit
from benchmarks.families.from_transformers import transformers_cases
from benchmarks.families.plain import Activation, Weights, attention, plain_case

LEGACY: Mapping[str, Any] = {
    "architectures": ["NomicBertModel"],
    "model_type": "nomic_bert",
    "activation_function": "swiglu",
    "causal": False,
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "n_embd": 32,
    "n_head": 4,
    "n_inner": 64,
    "n_layer": 2,
    "n_positions": 8192,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "type_vocab_size": 2,
    "use_rms_norm": False,
    "vocab_size": 100,
}
MOE: Mapping[str, Any] = {
    **LEGACY,
    "activation_function": "gelu",
    "layer_norm_epsilon": 1e-5,
    "mlp_fc1_bias": True,
    "mlp_fc2_bias": True,
    "moe_every_n_layers": 2,
    "moe_normalize_expert_weights": False,
    "moe_top_k": 2,
    "n_layer": 4,
    "num_experts": 8,
    "qkv_proj_bias": True,
    "rotary_emb_base": 10_000,
    "type_vocab_size": 1,
}


def legacy(folder: Path, **changes: object) -> None:
    """The config as nomic-embed-text-v1.5 has it."""
    config = {key: value for key, value in {**LEGACY, **changes}.items() if value is not None}
    (folder / "config.json").write_text("{}")
    edit(folder, **config)


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of every tensor."""
    hidden, wide, experts = config["n_embd"], config["n_inner"], config.get("num_experts", 0)
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], hidden),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], hidden),
    }
    norms = ["emb_ln"]
    for number in range(config["n_layer"]):
        layer = f"encoder.layers.{number}."
        norms += [f"{layer}norm1", f"{layer}norm2"]
        linears = {
            f"{layer}attn.Wqkv": ((3 * hidden, hidden), config["qkv_proj_bias"]),
            f"{layer}attn.out_proj": ((hidden, hidden), config["qkv_proj_bias"]),
        }
        if has_experts(config, number):
            found[f"{layer}mlp.router.layer.weight"] = (experts, hidden)
            found[f"{layer}mlp.experts.mlp.w1"] = (experts * wide, hidden)
            found[f"{layer}mlp.experts.mlp.w2"] = (experts * wide, hidden)
            found[f"{layer}mlp.experts.bias"] = (hidden,)
        else:
            ups = ("fc1",) if config["activation_function"] == "gelu" else ("fc11", "fc12")
            linears |= {f"{layer}mlp.{up}": ((wide, hidden), config["mlp_fc1_bias"]) for up in ups}
            linears[f"{layer}mlp.fc2"] = ((hidden, wide), config["mlp_fc2_bias"])
        for name, (shape, biased) in linears.items():
            found[f"{name}.weight"] = shape
            if biased:
                found[f"{name}.bias"] = shape[:1]
    for name in norms:
        found |= {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}
    return found


def has_experts(config: Mapping[str, Any], layer: int) -> bool:
    """From the second layer on, one of so many."""
    return bool(config.get("moe_every_n_layers")) and layer % config["moe_every_n_layers"] == 1


def turned(x: Tensor, heads: int, base: float) -> Tensor:
    """Every pair of numbers i and i + D/2 of every head, turned by position * base^(-2i / D): (L, H)."""
    length, width = len(x), x.shape[1] // heads
    angles = torch.outer(torch.arange(length).float(), 1.0 / base ** (torch.arange(0, width, 2).float() / width))
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    first, second = x.view(length, heads, width).chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).flatten(1)


def mixture(weights: Weights, layer: str, config: Mapping[str, Any], x: Tensor) -> Tensor:
    """Token by token."""
    rows = []
    w1, w2 = (weights[f"{layer}mlp.experts.mlp.{part}"].chunk(config["num_experts"]) for part in ("w1", "w2"))
    for token in x:
        liking = weights.linear(f"{layer}mlp.router.layer", token).softmax(-1)
        best = liking.argsort(descending=True)[: config["moe_top_k"]].tolist()
        rows.append(sum(liking[expert] * (functional.gelu(w1[expert] @ token) @ w2[expert]) for expert in best))
    return torch.stack(rows) + weights[f"{layer}mlp.experts.bias"]


def network(weights: Weights, config: Mapping[str, Any], ids: Tensor, types: Tensor) -> Tensor:
    """(L,) -> (L, H)."""
    heads, base = config["n_head"], config["rotary_emb_base"]
    gates: Mapping[str, Activation] = {"swiglu": functional.silu, "geglu": functional.gelu, "glu": torch.sigmoid}
    factor, trained = config["rotary_scaling_factor"], config["max_trained_positions"]
    if factor and len(ids) > trained:
        width = config["n_embd"] // heads
        base *= (factor * len(ids) / trained - (factor - 1)) ** (width / (width - 2))
    x = weights.norm("emb_ln", weights.embedded(ids, types))
    for number in range(config["n_layer"]):
        layer = f"encoder.layers.{number}."
        q, k, v = weights.linear(f"{layer}attn.Wqkv", x).chunk(3, dim=-1)
        said = attention(turned(q, heads, base), turned(k, heads, base), v, heads)
        x = weights.norm(f"{layer}norm1", weights.linear(f"{layer}attn.out_proj", said) + x)
        if has_experts(config, number):
            made = mixture(weights, layer, config, x)
        elif config["activation_function"] == "gelu":
            made = weights.linear(f"{layer}mlp.fc2", functional.gelu(weights.linear(f"{layer}mlp.fc1", x)))
        else:
            gate = gates[config["activation_function"]](weights.linear(f"{layer}mlp.fc12", x))
            made = weights.linear(f"{layer}mlp.fc2", weights.linear(f"{layer}mlp.fc11", x) * gate)
        x = weights.norm(f"{layer}norm2", made + x)
    return x


NATIVE = {"max_position_embeddings": 600}
DYNAMIC = {"rope_theta": 1000.0, "rope_type": "dynamic", "factor": 2.0}
# The reference's base depends on the longest text that it saw: from short to long it depends on the text.
RISING = (3, 30, 40, 41, 200, 500)

CASES = (
    *transformers_cases(
        "nomic_bert",
        NomicBertConfig,
        {
            "plain": NATIVE,
            "relu, three heads of 16, eps 1e-5": {
                **NATIVE,
                "hidden_act": "relu",
                "hidden_size": 48,
                "num_attention_heads": 3,
                "layer_norm_eps": 1e-5,
            },
            "base 10,000, 500 tokens": {**NATIVE, "rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}},
        },
        lengths={"base 10,000, 500 tokens": (500, 3, 200, 1)},
        types=True,
    ),
    *transformers_cases(
        "nomic_bert", NomicBertConfig, {"v1.5 as on the hub": NATIVE}, wide=None, types=True, finish=legacy
    ),
    *transformers_cases(
        "nomic_bert",
        NomicBertConfig,
        {"v1: a base that grows beyond 40 tokens": {"max_position_embeddings": 40, "rope_parameters": DYNAMIC}},
        wide=None,
        types=True,
        lengths={"v1: a base that grows beyond 40 tokens": RISING},
        finish=partial(legacy, max_trained_positions=40, rotary_scaling_factor=2),
    ),
    plain_case("nomic_bert", "v2: eight experts, two of them used", network, shapes, MOE),
    plain_case(
        "nomic_bert",
        "four experts in every third layer, one used",
        network,
        shapes,
        {**MOE, "num_experts": 4, "moe_top_k": 1, "moe_every_n_layers": 3, "n_layer": 5},
        lengths=(300, 3, 1, 200),
    ),
    plain_case(
        "nomic_bert",
        "biases, GELU gate, the base grows in company",
        network,
        shapes,
        {
            **LEGACY,
            "activation_function": "geglu",
            "qkv_proj_bias": True,
            "mlp_fc1_bias": True,
            "mlp_fc2_bias": True,
            "max_trained_positions": 16,
            "rotary_scaling_factor": 2.5,
        },
        lengths=(3, 16, 17, 40, 40, 100),
        types=True,
    ),
    plain_case("nomic_bert", "sigmoid gate", network, shapes, {**LEGACY, "activation_function": "glu"}, types=True),
)
