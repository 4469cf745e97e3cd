"""The files of a small model folder, as publishers lay them out."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
import torch
from safetensors.torch import load_file, save_file
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

UNKNOWN = "[UNK]"
SPECIALS = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]")


def write_folder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """config.json, model.safetensors, and a tokenizer whose words are `w5`, `w6`, … to the vocabulary's end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors"
    )
    write_tokenizer(folder, config["vocab_size"])


def write_tokenizer(folder: Path, size: int, markers: Sequence[str] = ()) -> None:
    """One token a word, `[CLS]` before and `[SEP]` after the text; `markers` come after all words."""
    words = [*SPECIALS, *(f"w{number}" for number in range(len(SPECIALS), size))]
    tokenizer = tokenizers.Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(word, SPECIALS.index(word)) for word in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens(list(markers))
    tokenizer.save(str(folder / "tokenizer.json"))


def rename(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Write the weights anew, as `change` makes them."""
    file = folder / "model.safetensors"
    save_file({name: tensor.clone().contiguous() for name, tensor in change(load_file(file)).items()}, file)


def edit(folder: Path, **changes: object) -> None:
    """Change keys of config.json; None takes one out."""
    file = folder / "config.json"
    changed = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in changed.items() if value is not None}))
