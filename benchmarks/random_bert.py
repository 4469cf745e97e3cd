"""A BERT checkpoint of any shape with random weights, written without a hub and without a reference implementation."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import tokenizers
import torch
from safetensors.torch import save_file
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

SPREAD = 0.04
"""Standard deviation of the weights: a little more than a fresh network's, so that texts differ."""
UNKNOWN = "[UNK]"
SPECIALS = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]")

BASE: Mapping[str, int] = {
    "vocab_size": 30_522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
"""BERT-base: 109 million parameters."""

TINY: Mapping[str, int] = {
    **BASE,
    "vocab_size": 500,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
}


def write_bert(
    folder: Path,
    shape: Mapping[str, int],
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    spread: float = SPREAD,
) -> Path:
    """A model folder. Its words are `w5`, `w6`, … to the vocabulary's end, a token each."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architectures": ["BertModel"], "layer_norm_eps": 1e-12, "hidden_act": "gelu", **shape}
    (folder / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(seed)
    save_file(
        {name: _weights(name, sizes, spread, generator).to(dtype) for name, sizes in _tensors(shape)},
        folder / "model.safetensors",
    )
    _write_tokenizer(folder, shape["vocab_size"])
    return folder


def _tensors(shape: Mapping[str, int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, wide = shape["hidden_size"], shape["intermediate_size"]
    tables = {"word": "vocab_size", "position": "max_position_embeddings", "token_type": "type_vocab_size"}
    for table, rows in tables.items():
        yield f"embeddings.{table}_embeddings.weight", (shape[rows], hidden)
    yield from _affine("embeddings.LayerNorm", hidden)
    for layer in (f"encoder.layer.{number}." for number in range(shape["num_hidden_layers"])):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            yield from _affine(f"{layer}attention.{part}", hidden, hidden)
        yield from _affine(f"{layer}attention.output.LayerNorm", hidden)
        yield from _affine(f"{layer}intermediate.dense", wide, hidden)
        yield from _affine(f"{layer}output.dense", hidden, wide)
        yield from _affine(f"{layer}output.LayerNorm", hidden)


def _affine(name: str, *sizes: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", sizes
    yield f"{name}.bias", sizes[:1]


def _weights(name: str, sizes: tuple[int, ...], spread: float, generator: torch.Generator) -> torch.Tensor:
    weights = torch.randn(sizes, generator=generator) * spread
    return weights + 1 if name.endswith("LayerNorm.weight") else weights


def _write_tokenizer(folder: Path, size: int) -> None:
    words = [*SPECIALS, *(f"w{number}" for number in range(len(SPECIALS), size))]
    tokenizer = tokenizers.Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(word, SPECIALS.index(word)) for word in ("[CLS]", "[SEP]")]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
