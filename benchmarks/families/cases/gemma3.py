"""EmbeddingGemma and causal Gemma 3: windows at their edges, angles by kind of layer, both layouts of config."""

from pathlib import Path

from transformers import Gemma3TextConfig

from benchmarks.families.folder import edit
from benchmarks.families.from_transformers import SMALL, WIDE, transformers_cases

HEADS = {"num_key_value_heads": 2, "head_dim": 16, "query_pre_attn_scalar": 12, "num_hidden_layers": 4}
BOTH_WAYS = {"use_bidirectional_attention": True, "sliding_window": 10, "sliding_window_pattern": 3}
SMALLEST = {**SMALL, **HEADS, **BOTH_WAYS}


def _as_by_version_4(folder: Path) -> None:
    edit(
        folder,
        layer_types=None,
        rope_parameters=None,
        _sliding_window_pattern=3,
        rope_theta=1_000_000.0,
        rope_local_base_freq=10_000.0,
    )


CASES = (
    *transformers_cases(
        "gemma3",
        Gemma3TextConfig,
        {
            "EmbeddingGemma": {},
            "odd window": {"sliding_window": 7},
            "long": {"sliding_window": 100, "max_position_embeddings": 700},
            "causal": {"use_bidirectional_attention": False, "sliding_window": 5},
            "biased": {"attention_bias": True, "hidden_activation": "silu", "rms_norm_eps": 1e-2},
        },
        small=SMALLEST,
        wide={**WIDE, "num_key_value_heads": 4, "head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 512},
        lengths={"long": (3, 51, 52, 700)},
        norms=0.0,
    ),
    *transformers_cases(
        "gemma3",
        Gemma3TextConfig,
        {"config of transformers 4": {}},
        small=SMALLEST,
        wide=None,
        norms=0.0,
        finish=_as_by_version_4,
    ),
)
