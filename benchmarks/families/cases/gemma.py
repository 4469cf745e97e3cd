"""Gemma 1: one head of keys as its 2B model has it, and as many as of queries; a legacy name of its activation."""

from transformers import GemmaConfig

from benchmarks.families.from_transformers import SMALL, WIDE, transformers_cases

CASES = transformers_cases(
    "gemma",
    GemmaConfig,
    {
        "one head of keys": {"num_key_value_heads": 1},
        "as many keys as queries, biased": {"num_key_value_heads": 4, "attention_bias": True, "head_dim": 8},
        "gelu, which means tanh": {"num_key_value_heads": 2, "hidden_act": "gelu"},
    },
    small={**SMALL, "head_dim": 16},
    wide={**WIDE, "num_key_value_heads": 4, "head_dim": 64},
    norms=0.0,
)
