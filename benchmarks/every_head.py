"""Small random checkpoints, one for every head and of many families, in folders as publishers lay them out.

All but the reranker that answers read the words `w5` to `w99`; they are as small as they may be and still differ.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import decoders, pre_tokenizers
from tokenizers.models import BPE

from benchmarks.families.case import randomise
from benchmarks.families.cases import gliclass, gliner
from benchmarks.families.folder import SPECIALS, edit, write_tokenizer

WORDS = 100
SHAPE: Mapping[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "pad_token_id": 0,
}
LIMIT = 128
"""Tokens of a text."""
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
INFERENCE = ("contradiction", "neutral", "entailment")
FEELINGS = ("sad", "so so", "glad")
MARKERS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
PROMPTS = {"query": "w6 w7 ", "document": "w8 "}
MULTI_WIDTH = 16


def build_heads(folder: Path) -> Mapping[str, Path]:
    """Every model in a folder of its own, by name."""
    written: dict[str, Path] = {}
    for name, write in HEADS.items():
        torch.manual_seed(len(written))
        written[name] = folder / name
        write(folder / name)
    return written


def _config(kind: Any, **said: Any) -> Any:
    """A small config of transformers."""
    return kind(**{**SHAPE, **said})


def _network(folder: Path, kind: type[Any], config: Any, seed: int = 0) -> None:
    """A network of transformers with its tokenizer."""
    model = kind._from_config(config)  # noqa: SLF001 - what from_config of the Auto classes calls
    randomise(dict(model.named_parameters()), seed=seed)
    model.save_pretrained(folder)
    write_tokenizer(folder, WORDS)
    names = {f"{name.strip('[]').lower()}_token": name for name in SPECIALS}
    _write(
        folder / "tokenizer_config.json", {"tokenizer_class": "TokenizersBackend", "model_max_length": LIMIT, **names}
    )


def _modules(folder: Path, kinds: Mapping[str, str], configs: Mapping[str, Mapping[str, Any]]) -> None:
    """sentence-transformers' modules, by folder, and what their configs say."""
    listed = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(kinds.items())
    ]
    _write(folder / "modules.json", listed)
    for path, config in configs.items():
        _write(folder / path / "config.json", config)


def _write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def dense(folder: Path) -> None:
    """BERT, mean of its tokens, Matryoshka, prompts for queries and documents."""
    _network(folder, transformers.BertModel, _config(transformers.BertConfig))
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    _modules(folder, kinds, {"1_Pooling": {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}})
    _write(folder / "config_sentence_transformers.json", {"prompts": PROMPTS, "default_prompt_name": None})
    edit(folder, matryoshka_dimensions=[8, 16, 32])


def sparse(folder: Path) -> None:
    """SPLADE over DistilBERT."""
    shape: dict[str, Any] = {
        "vocab_size": WORDS,
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 64,
        "pad_token_id": 0,
    }
    config = transformers.DistilBertConfig(**shape, max_position_embeddings=130)
    _network(folder, transformers.DistilBertForMaskedLM, config, seed=1)
    kinds = {"": "MLMTransformer", "1_SpladePooling": "SpladePooling"}
    _modules(folder, kinds, {"1_SpladePooling": {"pooling_strategy": "max"}})


def all_three(folder: Path) -> None:
    """BGE-M3: XLM-R with three outputs."""
    _network(folder, transformers.XLMRobertaModel, _config(transformers.XLMRobertaConfig), seed=2)
    generator = torch.Generator().manual_seed(2)
    for name, rows in (("sparse_linear", 1), ("colbert_linear", MULTI_WIDTH)):
        tensors = {"weight": torch.randn(rows, 32, generator=generator) / 4, "bias": torch.ones(rows)}
        save_file(tensors, folder / f"{name}.safetensors")
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    _modules(folder, kinds, {"1_Pooling": {"word_embedding_dimension": 32, "pooling_mode_cls_token": True}})


def multi(folder: Path) -> None:
    """ColBERT, Stanford's format, over ModernBERT."""
    config = _config(
        transformers.ModernBertConfig, local_attention=8, bos_token_id=2, cls_token_id=2, eos_token_id=3, sep_token_id=3
    )
    _network(folder, transformers.ModernBertModel, config, seed=3)
    edit(folder, architectures=["HF_ColBERT"])
    file = folder / "model.safetensors"
    tensors = {f"model.{name}": tensor for name, tensor in load_file(file).items()}
    tensors["linear.weight"] = torch.randn(MULTI_WIDTH, 32, generator=torch.Generator().manual_seed(3)) / 4
    save_file(tensors, file)
    _write(folder / "artifact.metadata", {"query_maxlen": 16, "doc_maxlen": 100})


def _labelled(folder: Path, kind: type[Any], config: Any, labels: Sequence[str], seed: int) -> None:
    _network(folder, kind, config, seed)
    named = {str(place): label for place, label in enumerate(labels)}
    edit(folder, id2label=named, label2id={label: place for place, label in enumerate(labels)})


def cross_encoder(folder: Path) -> None:
    """ELECTRA with one logit."""
    config = _config(transformers.ElectraConfig, embedding_size=32, num_labels=1)
    _labelled(folder, transformers.ElectraForSequenceClassification, config, ["LABEL_0"], seed=4)


def classifier(folder: Path) -> None:
    """MPNet with three labels."""
    config = _config(transformers.MPNetConfig, num_labels=3)
    _labelled(folder, transformers.MPNetForSequenceClassification, config, FEELINGS, seed=5)


def inference(folder: Path) -> None:
    """DeBERTa of natural language inference, for labels of the request."""
    config = _config(
        transformers.DebertaV2Config,
        relative_attention=True,
        position_buckets=8,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        max_relative_positions=-1,
        type_vocab_size=0,
        pooler_hidden_size=32,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        num_labels=3,
    )
    _labelled(folder, transformers.DebertaV2ForSequenceClassification, config, INFERENCE, seed=6)


def tagger(folder: Path) -> None:
    """RoBERTa that labels tokens."""
    config = _config(transformers.RobertaConfig, type_vocab_size=1, num_labels=len(TAGS))
    _labelled(folder, transformers.RobertaForTokenClassification, config, TAGS, seed=7)


def answers(folder: Path) -> None:
    """A Qwen3 that is asked whether a document is relevant, with an alphabet of bytes."""
    shape: dict[str, Any] = {
        **SHAPE,
        "vocab_size": 280,
        "max_position_embeddings": 1000,
        "num_key_value_heads": 2,
        "head_dim": 16,
    }
    _network(folder, transformers.Qwen3ForCausalLM, transformers.Qwen3Config(**shape, tie_word_embeddings=True), seed=8)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("y", "e"), ("ye", "s"), ("n", "o")]
    words = [*alphabet, *("".join(pair) for pair in merges)]
    tokenizer = tokenizers.Tokenizer(BPE({word: place for place, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([tokenizers.AddedToken(marker, special=True) for marker in MARKERS])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "TokenizersBackend", "model_max_length": 1000})


def _case(folder: Path, cases: Sequence[Any]) -> None:
    cases[0].write(folder)


HEADS: Mapping[str, Callable[[Path], None]] = {
    "dense": dense,
    "sparse": sparse,
    "all-three": all_three,
    "multi": multi,
    "cross-encoder": cross_encoder,
    "answers": answers,
    "classifier": classifier,
    "inference": inference,
    "tagger": tagger,
    "spans": partial(_case, cases=gliner.CASES),
    "classes": partial(_case, cases=gliclass.CASES),
}
"""By what the model is; the writers say of which family."""
