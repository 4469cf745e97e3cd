"""Mistral: with a window and without, heads of a width of their own."""

from transformers import MistralConfig

from benchmarks.families.from_transformers import SMALL, WIDE, transformers_cases

CASES = transformers_cases(
    "mistral",
    MistralConfig,
    {
        "no window": {"sliding_window": None},
        "window of 6": {"sliding_window": 6},
        "window of 1": {"sliding_window": 1},
        "window of 130, long": {"sliding_window": 130, "max_position_embeddings": 700},
        "heads of 16": {"head_dim": 16, "sliding_window": None},
    },
    small={**SMALL, "num_key_value_heads": 2},
    wide={**WIDE, "num_key_value_heads": 4},
    lengths={"window of 130, long": (3, 130, 131, 700)},
)
