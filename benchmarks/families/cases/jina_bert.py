"""JinaBERT v2 and its code model: ALiBi both ways, head counts that are no power of two, gates first and last."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.families.plain import Activation, Weights, attention, plain_case

SMALL: Mapping[str, Any] = {
    "architectures": ["JinaBertForMaskedLM"],
    "model_type": "bert",
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 700,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "feed_forward_type": "geglu",
    "position_embedding_type": "alibi",
    "auto_map": {"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"},
}
ACTIVATIONS: Mapping[str, Activation] = {"geglu": functional.gelu, "reglu": functional.relu}
CODE = {"AutoModel": "jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel"}


def is_code(config: Mapping[str, Any]) -> bool:
    """As the engine tells it."""
    return "qk-post-norm" in config["auto_map"]["AutoModel"]


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of every tensor."""
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], hidden),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], hidden),
    }
    norms, linears = ["embeddings.LayerNorm"], {"pooler.dense": (hidden, hidden)}
    gate, down = ("up_gated_layer", "down_layer") if is_code(config) else ("gated_layers", "wo")
    for layer in (f"encoder.layer.{number}." for number in range(config["num_hidden_layers"])):
        linears |= {f"{layer}attention.self.{part}": (hidden, hidden) for part in ("query", "key", "value")}
        linears |= {f"{layer}attention.output.dense": (hidden, hidden), f"{layer}mlp.{down}": (hidden, wide)}
        found[f"{layer}mlp.{gate}.weight"] = (2 * wide, hidden)
        norms.append(f"{layer}attention.output.LayerNorm")
        if is_code(config):
            norms += [f"{layer}attention.self.layer_norm_q", f"{layer}attention.self.layer_norm_k"]
            norms += [f"{layer}layer_norm_1", f"{layer}layer_norm_2"]
        else:
            norms.append(f"{layer}mlp.layernorm")
    for name, shape in linears.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        found |= {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}
    return found


def slope(head: int, heads: int) -> float:
    """Of ALiBi: powers of 2^(-8 / n) for the power of two n at or below the heads, then odd ones of 2^(-4 / n)."""
    n = 2 ** math.floor(math.log2(heads))
    return math.exp2(-8 / n * (head + 1)) if head < n else math.exp2(-4 / n * (2 * (head - n) + 1))


def network(weights: Weights, config: Mapping[str, Any], ids: Tensor, types: Tensor) -> Tensor:
    """(L,) -> (L, H)."""
    heads = config["num_attention_heads"]
    places = torch.arange(len(ids))
    away = (places[:, None] - places).abs()
    bias = torch.stack([-slope(head, heads) * away for head in range(heads)])
    act = ACTIVATIONS[config["feed_forward_type"]]
    x = weights.norm("embeddings.LayerNorm", weights.embedded(ids, types))
    for layer in (f"encoder.layer.{number}." for number in range(config["num_hidden_layers"])):
        q, k, v = (weights.linear(f"{layer}attention.self.{part}", x) for part in ("query", "key", "value"))
        if is_code(config):
            q = weights.norm(f"{layer}attention.self.layer_norm_q", q)
            k = weights.norm(f"{layer}attention.self.layer_norm_k", k)
        said = weights.linear(f"{layer}attention.output.dense", attention(q, k, v, heads, bias))
        after = weights.norm(f"{layer}attention.output.LayerNorm", said + x)
        if is_code(config):
            x = weights.norm(f"{layer}layer_norm_1", after + x)
            up, gate = weights.linear(f"{layer}mlp.up_gated_layer", x).chunk(2, dim=-1)
            x = weights.norm(f"{layer}layer_norm_2", weights.linear(f"{layer}mlp.down_layer", up * act(gate)) + x)
        else:
            gate, up = weights.linear(f"{layer}mlp.gated_layers", after).chunk(2, dim=-1)
            x = weights.norm(f"{layer}mlp.layernorm", weights.linear(f"{layer}mlp.wo", act(gate) * up) + after)
    return x


VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "six heads, one layer": {"hidden_size": 48, "num_attention_heads": 6, "num_hidden_layers": 1},
    "twelve heads, relu gate, eps 1e-5": {
        "hidden_size": 48,
        "num_attention_heads": 12,
        "feed_forward_type": "reglu",
        "layer_norm_eps": 1e-5,
    },
    "600 tokens": {},
    "code": {"auto_map": CODE},
    "code, 600 tokens, six heads": {"auto_map": CODE, "hidden_size": 48, "num_attention_heads": 6},
}

CASES = tuple(
    plain_case(
        "jina_bert",
        variant,
        network,
        shapes,
        {**SMALL, **changes},
        types=True,
        **({"lengths": (600, 3, 513, 200, 1)} if "600" in variant else {}),
    )
    for variant, changes in VARIANTS.items()
)
