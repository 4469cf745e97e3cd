"""Small BERT checkpoints with random weights: models enough to fill a node with, made in seconds, equal in size."""

import json
import shutil
from pathlib import Path

from benchmarks.random_bert import TINY, write_bert
from benchmarks.served import starter_folder
from engine.protocol import ModelRef

SPREAD = 0.3
"""Of the weights. As random as a fresh network's (0.02) they would all but cancel out, and every model would agree."""


def build_models(folder: Path, count: int, *, hidden: int = 64, layers: int = 2) -> list[ModelRef]:
    """`count` models that differ in their weights only, each in a folder of its own with the starter's tokenizer."""
    return [_build(folder / f"model-{number:02d}", number, hidden, layers) for number in range(count)]


def _build(folder: Path, seed: int, hidden: int, layers: int) -> ModelRef:
    starter = starter_folder()
    shape = {
        **TINY,
        "vocab_size": json.loads((starter / "config.json").read_text())["vocab_size"],
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 16,
        "intermediate_size": 4 * hidden,
        "max_position_embeddings": 256,
    }
    write_bert(folder, shape, seed=seed, spread=SPREAD)
    shutil.copy(starter / "tokenizer.json", folder)
    return ModelRef(id=folder.name, source=str(folder))
