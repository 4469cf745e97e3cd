"""ELECTRA: embeddings narrower than the layers, as wide, and wider."""

from transformers import ElectraConfig

from benchmarks.families.from_transformers import transformers_cases

CASES = transformers_cases(
    "electra",
    ElectraConfig,
    {
        "embeddings of 16": {"embedding_size": 16},
        "embeddings as wide": {"embedding_size": 32},
        "embeddings of 48, tanh GELU": {"embedding_size": 48, "hidden_act": "gelu_new"},
        "three heads of 16, eps 1e-5": {
            "embedding_size": 16,
            "hidden_size": 48,
            "num_attention_heads": 3,
            "layer_norm_eps": 1e-5,
        },
        "long": {"embedding_size": 16, "max_position_embeddings": 300},
    },
    lengths={"long": (3, 300, 17, 200)},
    types=True,
)
