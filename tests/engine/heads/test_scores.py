"""Logits of texts and of tokens, of every family, against transformers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional

from benchmarks.families.case import randomise
from benchmarks.families.cases import CASES
from benchmarks.families.checks import hidden_states
from benchmarks.families.folder import edit, rename, write_tokenizer
from engine.catalog import describe
from engine.device import open_device
from engine.encoded import Encoded
from engine.loading.loaded import load_model
from engine.settings import EngineSettings

SMALL = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 42,
}
PADDED = {"pad_token_id": 1}
GROUPED = {"num_key_value_heads": 2, "pad_token_id": 0}
GATED = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
FAMILIES = {
    "bert": (transformers.BertConfig, {}),
    "roberta": (transformers.RobertaConfig, {**PADDED, "type_vocab_size": 1}),
    "xlm-roberta": (transformers.XLMRobertaConfig, {**PADDED, "type_vocab_size": 1}),
    "camembert": (transformers.CamembertConfig, {**PADDED, "type_vocab_size": 1}),
    "distilbert": (transformers.DistilBertConfig, {}),
    "electra": (transformers.ElectraConfig, {"embedding_size": 16}),
    "mpnet": (transformers.MPNetConfig, PADDED),
    "modernbert, first token": (transformers.ModernBertConfig, GATED),
    "modernbert, mean": (transformers.ModernBertConfig, {**GATED, "classifier_pooling": "mean"}),
    "modernbert, biases": (
        transformers.ModernBertConfig,
        {**GATED, "classifier_bias": True, "norm_bias": True, "classifier_activation": "silu"},
    ),
    "deberta": (
        transformers.DebertaV2Config,
        {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], "share_att_key": True},
    ),
    "deberta, tanh": (transformers.DebertaV2Config, {"pooler_hidden_act": "tanh", "type_vocab_size": 2}),
    "gte": (transformers.GteConfig, {"type_vocab_size": 2}),
    "nomic": (transformers.NomicBertConfig, {"type_vocab_size": 2}),
    "jina v3": (transformers.JinaEmbeddingsV3Config, PADDED),
    "qwen2": (transformers.Qwen2Config, GROUPED),
    "qwen3": (transformers.Qwen3Config, {**GROUPED, "head_dim": 16}),
    "llama": (transformers.LlamaConfig, GROUPED),
    "mistral": (transformers.MistralConfig, {**GROUPED, "sliding_window": None}),
    "gemma": (transformers.GemmaConfig, {**GROUPED, "head_dim": 16}),
    "gemma3": (transformers.Gemma3TextConfig, {**GROUPED, "head_dim": 16, "query_pre_attn_scalar": 16}),
}
TYPED = ("bert", "electra", "deberta, tanh", "gte", "nomic")


def write(folder: Path, family: str, auto: type, **changes: object) -> transformers.PreTrainedModel:
    """A small random checkpoint with a head; the reference over its weights."""
    config, shape = FAMILIES[family]
    model = auto.from_config(config(**{**SMALL, **shape, **changes}), attn_implementation="eager")
    norms = 0.0 if family.startswith("gemma") else 1.0
    randomise(dict(model.named_parameters()), norms=norms)
    model.save_pretrained(folder)
    write_tokenizer(folder, SMALL["vocab_size"])
    return model.eval()


def load(folder: Path, dtype: torch.dtype = torch.float32):
    return load_model(describe(folder), open_device(EngineSettings(device="cpu")), dtype)


def pairs(output: str, *, types: bool) -> list[Encoded]:
    generator = np.random.default_rng(0)
    encoded = []
    for length in (3, 30, 7, 7, 12, 2, 40):
        ids = generator.integers(5, 100, length, dtype=np.int32)
        second = (np.arange(length) >= length // 2).astype(np.int32)
        encoded.append(Encoded(ids, second if types else None, outputs=(output,)))
    return encoded


@torch.no_grad()
def expected(model: transformers.PreTrainedModel, encoded: list[Encoded]) -> list[np.ndarray]:
    """One pass for each sequence."""
    found = []
    for sequence in encoded:
        inputs = {"input_ids": torch.from_numpy(sequence.ids)[None].long()}
        if sequence.types is not None:
            inputs["token_type_ids"] = torch.from_numpy(sequence.types)[None].long()
        found.append(model(**inputs).logits[0].float().numpy())
    return found


def rows(model, encoded: list[Encoded], output: str) -> list[np.ndarray]:
    return [row[output] for row in model.run(model.pack(encoded))]


def apart(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    assert [one.shape for one in ours] == [other.shape for other in theirs]
    return max(float(np.abs(one - other).max()) for one, other in zip(ours, theirs, strict=True))


HEADS = {
    "scores": transformers.AutoModelForSequenceClassification,
    "token_scores": transformers.AutoModelForTokenClassification,
}


@pytest.mark.parametrize(
    ("family", "output"),
    # Nobody's Gemma 3 labels tokens.
    [(family, output) for output in HEADS for family in FAMILIES if (family, output) != ("gemma3", "token_scores")],
)
def test_logits_are_the_references_whoever_else_is_in_the_batch(tmp_path, family, output):
    reference = write(tmp_path, family, HEADS[output], num_labels=3)
    model = load(tmp_path)
    encoded = pairs(output, types=family in TYPED)
    together = rows(model, encoded, output)
    assert apart(together, expected(reference, encoded)) <= 1e-4
    alone = [rows(model, [sequence], output)[0] for sequence in encoded]
    assert apart(together, alone) <= 1e-5
    backwards = rows(model, encoded[::-1], output)[::-1]
    assert apart(together, backwards) <= 1e-5
    assert apart(together[2:3], together[3:4]) > 1e-2


REMOTE = {
    # Jina BERT v2 and its rerankers, and Nomic's classifiers in the layout of their own code: a BERT's pooler.
    "jina_bert": ("bert.pooler.dense", "JinaBertForSequenceClassification"),
    "nomic_bert": ("bert.pooler.dense", "NomicBertForSequenceClassification"),
}


@pytest.mark.parametrize("family", REMOTE)
def test_poolers_of_remote_code_are_read_by_their_names(tmp_path, family):
    """Against a plain pooler and classifier over the body's own hidden states, which have tests of their own."""
    pooler, architecture = REMOTE[family]
    case = next(case for case in CASES if case.family == family and "plain implementation" in case.oracle)
    case.write(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    width = config.get("hidden_size") or config["n_embd"]
    added = {
        f"{pooler}.weight": torch.empty(width, width),
        f"{pooler}.bias": torch.empty(width),
        "classifier.weight": torch.empty(2, width),
        "classifier.bias": torch.empty(2),
    }
    randomise(added)
    rename(tmp_path, lambda tensors: {**{f"bert.{name}": tensor for name, tensor in tensors.items()}, **added})
    edit(tmp_path, architectures=[architecture])
    model = load(tmp_path)
    encoded = [replace(sequence, outputs=("scores",)) for sequence in case.sequences()]
    first = torch.from_numpy(np.stack([hidden[0] for hidden in hidden_states(model, encoded)]))
    pooled = torch.tanh(functional.linear(first, added[f"{pooler}.weight"], added[f"{pooler}.bias"]))
    theirs = functional.linear(pooled, added["classifier.weight"], added["classifier.bias"]).numpy()
    assert apart(rows(model, encoded, "scores"), list(theirs)) <= 1e-5


@pytest.mark.parametrize("ending", [[], [0], [0, 0]])
def test_a_decoder_is_judged_by_its_last_token_that_is_no_padding(tmp_path, ending):
    reference = write(tmp_path, "qwen2", HEADS["scores"], num_labels=2)
    model = load(tmp_path)
    encoded = [
        Encoded(np.array([*ids, *ending], dtype=np.int32), outputs=("scores",)) for ids in ([7, 8, 9], [5], [0, 0])
    ]
    assert apart(rows(model, encoded, "scores"), expected(reference, encoded)) <= 1e-4


def test_scores_are_float32_whatever_the_network_is(tmp_path):
    write(tmp_path, "bert", HEADS["scores"], num_labels=2)
    encoded = pairs("scores", types=True)
    half, whole = (rows(load(tmp_path, dtype), encoded, "scores") for dtype in (torch.bfloat16, torch.float32))
    assert {one.dtype for one in half} == {np.dtype(np.float32)}
    assert apart(half, whole) < 0.2
