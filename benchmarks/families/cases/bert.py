"""BERT: activations, widths, layers, types of tokens, and length to the end of the position table."""

from transformers import BertConfig

from benchmarks.families.from_transformers import transformers_cases

CASES = transformers_cases(
    "bert",
    BertConfig,
    {
        "plain": {},
        "gelu_new": {"hidden_act": "gelu_new"},
        "relu, one layer": {"hidden_act": "relu", "num_hidden_layers": 1},
        "three heads of 16": {"hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 100},
        "eps 1e-5": {"layer_norm_eps": 1e-5},
        "long": {"max_position_embeddings": 300},
    },
    lengths={"long": (3, 300, 17, 200, 200)},
    types=True,
)
