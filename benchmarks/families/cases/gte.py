"""GTE: transformers' own layout, and the hub's with its settings, each against transformers' port.

NTK scaling is another base and factor; the port is given these.
"""

from functools import partial
from pathlib import Path

from transformers import GteConfig

from benchmarks.families.folder import edit, rename
from benchmarks.families.from_transformers import WIDE, transformers_cases

BASE, FACTOR, HEAD = 20_000.0, 8.0, 8
NTK = {"rope_theta": BASE * FACTOR, "rope_type": "linear", "factor": FACTOR ** (2 / HEAD)}


def as_on_the_hub(folder: Path, **settings: object) -> None:
    """`NewModel`, whose code the hub's checkpoints bring."""
    edit(
        folder,
        architectures=["NewModel"],
        model_type="new",
        rope_parameters=None,
        position_embedding_type="rope",
        layer_norm_type="layer_norm",
        logn_attention_scale=False,
        pack_qkv=True,
        **settings,
    )


def with_a_head(folder: Path) -> None:
    """As gte-multilingual-base: named for the head it brings, queries, keys and values apart, an unused pooler."""
    as_on_the_hub(folder, rope_theta=160_000.0, rope_scaling=None)
    edit(folder, architectures=["NewModel"], pack_qkv=False)

    def change(tensors):  # type: ignore[no-untyped-def]
        for name in list(tensors):
            if "qkv_proj" in name:
                for part, rows in zip("qkv", tensors.pop(name).chunk(3), strict=True):
                    tensors[name.replace("qkv_proj", f"{part}_proj")] = rows
        tensors["classifier.weight"] = tensors["embeddings.word_embeddings.weight"][:3]
        tensors["pooler.dense.bias"] = tensors["embeddings.LayerNorm.bias"]
        return {name if "classifier" in name else f"new.{name}": tensor for name, tensor in tensors.items()}

    rename(folder, change)


CASES = (
    *transformers_cases(
        "gte",
        GteConfig,
        {
            "plain": {"type_vocab_size": 2},
            "no types, relu": {"type_vocab_size": 0, "hidden_act": "relu"},
            "silu, three heads of 16, eps 1e-5": {
                "hidden_act": "silu",
                "hidden_size": 48,
                "num_attention_heads": 3,
                "layer_norm_eps": 1e-5,
            },
            "base 1000, 500 tokens": {
                "rope_parameters": {"rope_theta": 1000.0, "rope_type": "default"},
                "max_position_embeddings": 600,
            },
        },
        wide=WIDE,
        lengths={"base 1000, 500 tokens": (500, 3, 200, 1)},
    ),
    *transformers_cases(
        "gte",
        GteConfig,
        {"hub: NTK by 8, 500 tokens": {"rope_parameters": NTK, "max_position_embeddings": 600}},
        wide=None,
        lengths={"hub: NTK by 8, 500 tokens": (500, 3, 200, 1)},
        finish=partial(as_on_the_hub, rope_theta=BASE, rope_scaling={"type": "ntk", "factor": FACTOR}),
    ),
    *transformers_cases(
        "gte",
        GteConfig,
        {"hub: no types": {"type_vocab_size": 0, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}},
        wide=None,
        finish=partial(as_on_the_hub, rope_theta=500_000, rope_scaling=None),
    ),
    *transformers_cases("gte", GteConfig, {"hub: a head beside": {}}, wide=None, finish=with_a_head),
)
