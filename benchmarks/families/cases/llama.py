"""Llama: plain, by Llama 3's rule of positions, biased; and those of them that look both ways."""

from pathlib import Path

from transformers import LlamaConfig

from benchmarks.families.folder import edit
from benchmarks.families.from_transformers import SMALL, WIDE, transformers_cases

LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
SMALLEST = {**SMALL, "num_key_value_heads": 2}


def _look_both_ways(folder: Path) -> None:
    edit(folder, architectures=["LlamaBidirectionalModel"], model_type="llama_bidirec", is_causal=None)


CASES = (
    *transformers_cases(
        "llama",
        LlamaConfig,
        {
            "plain": {},
            "positions of Llama 3": {"rope_parameters": LLAMA_3, "head_dim": 16, "max_position_embeddings": 300},
            "stretched positions": {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}},
            "biased": {"attention_bias": True, "mlp_bias": True},
            "no groups": {"num_key_value_heads": None},
        },
        small=SMALLEST,
        wide={**WIDE, "num_key_value_heads": 4},
        lengths={"positions of Llama 3": (3, 40, 17, 300)},
    ),
    *transformers_cases(
        "llama_bidirectional",
        LlamaConfig,
        {"plain": {"is_causal": False}},
        small=SMALLEST,
        wide={**WIDE, "num_key_value_heads": 4},
        finish=_look_both_ways,
    ),
)
