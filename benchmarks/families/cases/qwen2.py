"""Qwen2: causal and both ways, windows in late layers, stretched positions."""

from pathlib import Path

from transformers import Qwen2Config

from benchmarks.families.folder import edit
from benchmarks.families.from_transformers import SMALL, WIDE, transformers_cases

GROUPS = {"num_key_value_heads": 2}
LATE = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1, "num_hidden_layers": 3}


def _as_by_version_4(folder: Path) -> None:
    edit(folder, layer_types=None, rope_parameters=None, rope_theta=500.0, rope_scaling={"type": "linear", "factor": 3})


CASES = (
    *transformers_cases(
        "qwen2",
        Qwen2Config,
        {
            "causal": {},
            "both ways": {"is_causal": False},
            "late windows": LATE,
            "late windows both ways": {**LATE, "is_causal": False},
            "one head of keys, long": {"num_key_value_heads": 1, "max_position_embeddings": 300},
        },
        small={**SMALL, **GROUPS},
        wide={**WIDE, "num_key_value_heads": 4},
        lengths={"one head of keys, long": (3, 129, 17, 129, 300)},
    ),
    *transformers_cases(
        "qwen2",
        Qwen2Config,
        {
            "config of transformers 4": {
                "rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 500.0},
                "use_sliding_window": True,
                "sliding_window": 4,
                "max_window_layers": 1,
            }
        },
        small={**SMALL, **GROUPS},
        wide=None,
        finish=_as_by_version_4,
    ),
)
