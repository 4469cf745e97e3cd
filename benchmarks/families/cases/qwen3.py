"""Qwen3: heads of a width of their own, with and without biases, both ways."""

from transformers import Qwen3Config

from benchmarks.families.from_transformers import SMALL, WIDE, transformers_cases

CASES = transformers_cases(
    "qwen3",
    Qwen3Config,
    {
        "causal": {},
        "both ways": {"is_causal": False},
        "biased": {"attention_bias": True},
        "rope of base a million, long": {
            "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
            "max_position_embeddings": 600,
        },
        "late windows": {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    },
    small={**SMALL, "num_key_value_heads": 2, "head_dim": 16},
    wide={**WIDE, "num_key_value_heads": 4, "head_dim": 64},
    lengths={"rope of base a million, long": (3, 200, 17, 600)},
)
