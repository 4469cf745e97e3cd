import json
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file

from engine.catalog import describe
from engine.configs.head_spec import HeadSpec
from engine.configs.pooling import read_pooling
from engine.configs.vector_steps import VectorStep
from engine.errors import ArchitectureUnknown, CheckpointCorrupt, FolderIncomplete, ModelInvalid


def test_the_starter_model_says_what_it_is(starter):
    spec = describe(starter)
    assert (spec.family, spec.architecture, spec.dimensions, spec.max_tokens) == ("bert", "BertModel", 384, 256)
    assert spec.heads == (
        HeadSpec(
            "dense",
            "pooled",
            {"poolings": ("mean",), "include_prompt": True, "before": (), "after": (VectorStep(kind="normalize"),)},
        ),
    )
    assert (spec.outputs, spec.matryoshka, spec.normalize) == (("dense",), (), True)
    assert spec.weight_bytes == 90_856_960


def test_reading_a_model_needs_no_torch():
    modules = "engine.catalog, engine.loading.source"
    code = f"import sys, {modules}; assert not {{'torch', 'numpy', 'tokenizers'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, ("mean",)),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, ("cls",)),
        ({"pooling_mode": "cls", "embedding_dimension": 32}, ("cls",)),
        ({"pooling_mode": ["mean"]}, ("mean",)),
        ({"pooling_mode": ["mean", "cls"]}, ("mean", "cls")),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, ("max", "mean")),
    ],
)
def test_pooling_is_read_in_both_formats(config, pooling):
    assert read_pooling(config) == pooling


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"pooling_mode": "attention"}, ArchitectureUnknown),
        ({"pooling_mode": ["mean", "median"]}, ArchitectureUnknown),
        ({}, ModelInvalid),
        ({"pooling_mode": 3}, ModelInvalid),
    ],
)
def test_pooling_that_is_not_known_is_refused(config, error):
    with pytest.raises(error):
        read_pooling(config)


@pytest.mark.parametrize(
    ("limit", "tokenizer", "expected"),
    [(None, None, 40), (16, None, 16), (None, 1e30, 40), (512, 24, 24), (30, 20, 20)],
)
def test_the_shortest_claim_limits_the_input(build_checkpoint, edit_json, limit, tokenizer, expected):
    folder = build_checkpoint().folder
    edit_json(folder / "sentence_bert_config.json", max_seq_length=limit)
    edit_json(folder / "tokenizer_config.json", model_max_length=tokenizer)
    assert describe(folder).max_tokens == expected


def test_a_folder_without_modules_is_a_bare_network_pooled_by_mean(build_checkpoint):
    folder = build_checkpoint().folder
    (folder / "modules.json").unlink()
    spec = describe(folder)
    assert spec.heads[0].settings == {"poolings": ("mean",), "include_prompt": True, "before": (), "after": ()}
    assert not spec.normalize


def test_module_names_of_the_new_library_are_known(build_checkpoint):
    folder = build_checkpoint().folder
    renamed = (folder / "modules.json").read_text().replace(".models.", ".sentence_transformer.modules.")
    (folder / "modules.json").write_text(renamed)
    assert describe(folder).normalize


@pytest.mark.parametrize(
    ("config", "widths"),
    [
        ({"matryoshka_dimensions": [32, 8, 16]}, (8, 16, 32)),
        ({"is_matryoshka": True}, tuple(range(1, 33))),
        ({"matryoshka_dimensions": [64]}, ()),
        ({}, ()),
    ],
)
def test_matryoshka_widths_come_from_the_config(build_checkpoint, edit_json, config, widths):
    folder = build_checkpoint().folder
    edit_json(folder / "config.json", **config)
    assert describe(folder).matryoshka == widths


def test_prompts_come_from_the_sentence_transformers_config(build_checkpoint, edit_json):
    folder = build_checkpoint().folder
    edit_json(
        folder / "config_sentence_transformers.json", prompts={"query": "q: ", "plain": ""}, default_prompt_name="query"
    )
    spec = describe(folder)
    assert spec.prompts == {"query": "q: ", "plain": ""}
    assert spec.default_prompt == "q: "


def test_a_checkpoint_in_many_files_is_one_checkpoint(build_checkpoint):
    folder = build_checkpoint().folder
    whole = describe(folder)
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    weight_map = {}
    for place, part in enumerate((names[:5], names[5:])):
        save_file({name: tensors[name] for name in part}, folder / f"part-{place}.safetensors")
        weight_map |= dict.fromkeys(part, f"part-{place}.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    spec = describe(folder)
    assert spec.weight_bytes == whole.weight_bytes
    assert spec.tensors.keys() == whole.tensors.keys()
    (folder / "part-1.safetensors").unlink()
    with pytest.raises(FolderIncomplete, match=r"part-1\.safetensors"):
        describe(folder)


def test_an_index_can_not_point_outside_of_the_folder(build_checkpoint):
    folder = build_checkpoint().folder
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../x.safetensors"}}))
    with pytest.raises(CheckpointCorrupt, match="not a file beside it"):
        describe(folder)


def test_modules_can_not_point_outside_of_the_folder(build_checkpoint):
    folder = build_checkpoint().folder
    (folder / "modules.json").write_text((folder / "modules.json").read_text().replace("1_Pooling", "../1_Pooling"))
    with pytest.raises(ModelInvalid, match="outside"):
        describe(folder)


def test_bytes_in_memory_follow_the_type(build_checkpoint):
    folder = build_checkpoint().folder
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor.half() for name, tensor in tensors.items()}, folder / "model.safetensors")
    spec = describe(folder)
    elements = sum(tensor.numel() for tensor in tensors.values())
    assert (spec.weight_bytes, spec.resident_bytes(4), spec.resident_bytes(2)) == (
        2 * elements,
        4 * elements,
        2 * elements,
    )


def test_unknown_architectures_are_named(build_checkpoint, edit_json):
    folder = build_checkpoint().folder
    edit_json(folder / "config.json", architectures=["MambaModel"])
    with pytest.raises(ArchitectureUnknown, match="MambaModel"):
        describe(folder)


def test_unknown_modules_are_named(build_checkpoint):
    folder = build_checkpoint().folder
    modules = json.loads((folder / "modules.json").read_text())
    modules.insert(2, {"idx": 2, "name": "2", "path": "2_CNN", "type": "sentence_transformers.models.CNN"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ArchitectureUnknown, match="CNN"):
        describe(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"])
def test_a_missing_file_is_named(build_checkpoint, name):
    folder = build_checkpoint().folder
    (folder / name).unlink()
    with pytest.raises(FolderIncomplete, match=name.rpartition("/")[2]):
        describe(folder)


def test_configs_that_are_not_json_are_refused(build_checkpoint):
    folder = build_checkpoint().folder
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelInvalid, match="not JSON"):
        describe(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"not json",
        b"[]",
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}},
        {"x": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}},
        {"x": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}},
        {"x": {"dtype": "F32", "shape": [1]}},
        {"x": 1},
        {},
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(build_checkpoint, write_safetensors, header):
    folder = build_checkpoint().folder
    write_safetensors(folder / "model.safetensors", header, bytes(4))
    with pytest.raises(CheckpointCorrupt):
        describe(folder)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -1])
def test_a_file_that_was_cut_off_is_refused(build_checkpoint, keep):
    file = build_checkpoint().folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointCorrupt):
        describe(file.parent)


def test_no_tensor_is_read(build_checkpoint, write_safetensors):
    file = build_checkpoint().folder / "model.safetensors"
    size = 2**33  # a sparse file: reading it would take seconds and memory
    write_safetensors(file, {"x": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}})
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size + size)
    assert describe(file.parent).weight_bytes == size
