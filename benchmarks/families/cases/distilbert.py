"""DistilBERT: its own names of the sizes, no types of tokens, positions stored though they may be sinusoidal."""

from transformers import DistilBertConfig

from benchmarks.families.from_transformers import transformers_cases

SMALL = {"vocab_size": 100, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 40}
WIDE = {
    "vocab_size": 30_000,
    "dim": 384,
    "n_layers": 6,
    "n_heads": 12,
    "hidden_dim": 1536,
    "max_position_embeddings": 512,
}

CASES = transformers_cases(
    "distilbert",
    DistilBertConfig,
    {
        "plain": {},
        "relu, one layer": {"activation": "relu", "n_layers": 1},
        "three heads of 16": {"dim": 48, "n_heads": 3, "hidden_dim": 100},
        "sinusoidal": {"sinusoidal_pos_embds": True},
        "long": {"max_position_embeddings": 300},
    },
    small=SMALL,
    wide=WIDE,
    lengths={"long": (3, 300, 17, 200)},
)
