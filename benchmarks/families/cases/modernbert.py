"""ModernBERT: both layouts of its config, windows at their edges, biases, texts beyond one block of queries."""

from pathlib import Path

from transformers import ModernBertConfig

from benchmarks.families.folder import edit
from benchmarks.families.from_transformers import SMALL, WIDE, transformers_cases

SPECIALS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
LAYERS = {"num_hidden_layers": 4, "local_attention": 8}
THETAS = {"full_attention": {"rope_theta": 500.0}, "sliding_attention": {"rope_theta": 60.0}}


def _as_by_version_4(folder: Path) -> None:
    edit(
        folder,
        layer_types=None,
        rope_parameters=None,
        global_attn_every_n_layers=2,
        global_rope_theta=500.0,
        local_rope_theta=60.0,
    )


CASES = (
    *transformers_cases(
        "modernbert",
        ModernBertConfig,
        {
            "plain": {},
            "window of 8": {"rope_parameters": THETAS},
            "all biases": {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "hidden_activation": "silu"},
            "window of 130, long": {"local_attention": 130, "max_position_embeddings": 1300},
            "kinds of layers by name": {
                "layer_types": ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]
            },
        },
        small={**SMALL, **SPECIALS, **LAYERS},
        wide={**WIDE, **SPECIALS, "local_attention": 128},
        lengths={"window of 130, long": (3, 66, 67, 300, 1300)},
    ),
    *transformers_cases(
        "modernbert",
        ModernBertConfig,
        {"config of transformers 4": {"global_attn_every_n_layers": 2, "rope_parameters": THETAS}},
        small={**SMALL, **SPECIALS, **LAYERS},
        wide=None,
        finish=_as_by_version_4,
    ),
)
