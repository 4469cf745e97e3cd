"""DeBERTa v2 and v3: every term of its attention alone, shared and own projections, buckets, words of another width."""

from transformers import DebertaV2Config

from benchmarks.families.from_transformers import SMALL, WIDE, transformers_cases

V3 = {
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}
PLAIN = {"relative_attention": False, "norm_rel_ebd": "none", "pos_att_type": None, "position_biased_input": True}

CASES = (
    *transformers_cases(
        "deberta_v2",
        DebertaV2Config,
        {
            "v3": {},
            "256 buckets, long": {"position_buckets": 256, "max_position_embeddings": 700},
            "no buckets": {"position_buckets": -1, "max_relative_positions": 16},
            "own projections": {"share_att_key": False},
            "c2p alone": {"pos_att_type": "c2p", "share_att_key": False},
            "p2c alone": {"pos_att_type": "p2c"},
            "distances without norm": {"norm_rel_ebd": "none"},
            "words of 24": {"embedding_size": 24},
            "v2-xlarge": {"conv_kernel_size": 3, "conv_act": "gelu", "attention_head_size": 8},
            "absolute positions alone": PLAIN,
        },
        small={**SMALL, **V3},
        wide={**WIDE, **V3, "position_buckets": 256},
        lengths={"256 buckets, long": (3, 66, 66, 150, 300, 700)},
    ),
    *transformers_cases(
        "deberta_v2",
        DebertaV2Config,
        {"types of tokens": {"type_vocab_size": 2, "position_biased_input": True}},
        small={**SMALL, **V3},
        wide=None,
        types=True,
        spread=0.5,
    ),
)
