"""MPNet: biases by distance, exact below 8, wider buckets to 128, and one beyond."""

from transformers import MPNetConfig

from benchmarks.families.from_transformers import transformers_cases

COMMON = {"layer_norm_eps": 1e-5, "max_position_embeddings": 42}

CASES = transformers_cases(
    "mpnet",
    MPNetConfig,
    {
        "plain": COMMON,
        "relu, three heads of 16": {**COMMON, "hidden_act": "relu", "hidden_size": 48, "num_attention_heads": 3},
        "eps 1e-12, four layers": {**COMMON, "layer_norm_eps": 1e-12, "num_hidden_layers": 4},
        "every bucket": {**COMMON, "max_position_embeddings": 702},
    },
    lengths={"every bucket": (700, 9, 130, 129, 300, 300)},
)
