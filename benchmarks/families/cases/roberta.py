"""RoBERTa, XLM-R and CamemBERT: positions after the padding token's id, in transformers' layout and in Jina's."""

from transformers import CamembertConfig, RobertaConfig, XLMRobertaConfig

from benchmarks.families.from_transformers import transformers_cases

COMMON = {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "max_position_embeddings": 42}

CASES = (
    *transformers_cases(
        "roberta",
        RobertaConfig,
        {
            "RoBERTa": COMMON,
            "padding token 0": {**COMMON, "pad_token_id": 0},
            "padding token 3, tanh GELU": {**COMMON, "pad_token_id": 3, "hidden_act": "gelu_new"},
            "two types": {**COMMON, "type_vocab_size": 2},
            "to the last position": {**COMMON, "max_position_embeddings": 302},
        },
        lengths={"to the last position": (300, 5, 200, 1)},
    ),
    *transformers_cases(
        "roberta",
        XLMRobertaConfig,
        {
            "XLM-R": COMMON,
            "XLM-R, three heads of 16, eps 1e-12": {
                **COMMON,
                "hidden_size": 48,
                "num_attention_heads": 3,
                "layer_norm_eps": 1e-12,
            },
        },
        wide=None,
    ),
    *transformers_cases("roberta", CamembertConfig, {"CamemBERT": COMMON}, wide=None),
)
