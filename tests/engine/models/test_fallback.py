"""Bodies that are not written here run in the library, padded: as it and sentence-transformers would, and said so."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

from benchmarks.families.case import sequences
from benchmarks.families.checks import INVARIANCE, PARITY, apart, hidden_states, load
from benchmarks.families.folder import write_folder
from benchmarks.families.from_transformers import TransformersReference
from engine.catalog import describe
from engine.errors import ArchitectureUnknown, WeightMismatch
from engine.layers.tokens import Run
from engine.models.padded import LEAST, WASTE, rectangles
from engine.protocol import EmbedRequest, ModelRef

SIZES = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}
LIBRARY = {
    "albert": {**SIZES, "embedding_size": 16, "pad_token_id": 0},
    "roformer": {**SIZES, "embedding_size": 32},
    "rembert": {**SIZES, "input_embedding_size": 16, "output_embedding_size": 16},
    "data2vec-text": {**SIZES, "max_position_embeddings": 42},
    "gemma2": {**SIZES, "num_key_value_heads": 2, "head_dim": 8},
    "gpt2": {"vocab_size": 100, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40},
    "t5": {"vocab_size": 100, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
}


def write(folder, kind, *, architectures=None, prefix="", **config):
    """A small random model of the library; gives the library's own."""
    torch.manual_seed(0)
    read = transformers.AutoConfig.for_model(kind, **{**LIBRARY[kind], **config})
    auto = transformers.AutoModelForTextEncoding if read.is_encoder_decoder else transformers.AutoModel
    model = auto.from_config(read).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    state = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    named = [type(model).__name__] if architectures is None else architectures
    write_folder(folder, {**read.to_dict(), "architectures": named, "model_type": kind}, state)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "model_max_length": 40})
    )
    return model


@pytest.mark.parametrize("kind", LIBRARY)
def test_hidden_states_are_the_library_s_alone_and_in_company(tmp_path, kind):
    model = write(tmp_path, kind)
    loaded = load(tmp_path)
    assert not loaded.spec.native
    encoded = sequences((3, 7, 3, 1, 30, 12, 7, 7, 2), 100)
    states = hidden_states(loaded, encoded)
    assert apart(states, TransformersReference(model, types=False)(encoded)) <= PARITY
    assert apart(states, [hidden_states(loaded, [sequence])[0] for sequence in encoded]) <= INVARIANCE
    backwards = hidden_states(loaded, encoded[::-1])[::-1]
    assert apart(states, backwards) <= INVARIANCE


def test_token_types_reach_the_library(tmp_path):
    model = write(tmp_path, "albert")
    encoded = sequences((5, 9, 2), 100, types=True)
    assert apart(hidden_states(load(tmp_path), encoded), TransformersReference(model, types=True)(encoded)) <= PARITY


def test_weights_in_half_precision_leave_the_library_s_own_numbers_alone(tmp_path):
    write(tmp_path, "gemma2")
    encoded = sequences((20, 9), 100)
    half, whole = hidden_states(load(tmp_path, torch.bfloat16), encoded), hidden_states(load(tmp_path), encoded)
    buffers = dict(load(tmp_path, torch.bfloat16).network.body.named_buffers())
    assert {buffer.dtype for buffer in buffers.values() if buffer.is_floating_point()} == {torch.float32}
    for one, other in zip(half, whole, strict=True):
        assert float(np.vdot(one, other) / np.linalg.norm(one) / np.linalg.norm(other)) > 0.99


@pytest.mark.parametrize("kind", ["albert", "roformer"])
def test_vectors_equal_sentence_transformers(opened, run, decode, tmp_path, kind):
    write(tmp_path, kind)
    texts = ["w5 w6 w7", "w9", "w12 w5 w40 w41 w42 w43", "w8 w8"]

    async def vectors():
        async with opened() as runtime:
            return decode(await runtime.embed(EmbedRequest(model=ModelRef(id="m", source=str(tmp_path)), inputs=texts)))

    reference = SentenceTransformer(str(tmp_path), device="cpu").encode(texts)
    assert np.abs(run(vectors()) - reference).max() <= PARITY


def test_heads_are_left_and_missing_tensors_named(tmp_path):
    model = write(tmp_path, "albert", architectures=["AlbertForMaskedLM"], prefix="albert.")
    state = {f"albert.{name}": tensor for name, tensor in model.state_dict().items() if "pooler" not in name}
    config = json.loads((tmp_path / "config.json").read_text())
    write_folder(tmp_path, config, {**state, "predictions.bias": torch.zeros(100)})
    load(tmp_path)
    lost = "albert.encoder.embedding_hidden_mapping_in.weight"
    write_folder(tmp_path, config, {name: tensor for name, tensor in state.items() if name != lost})
    with pytest.raises(WeightMismatch, match="embedding_hidden_mapping_in"):
        load(tmp_path)


def test_a_node_says_how_many_models_run_padded(opened, run, build_checkpoint, tmp_path):
    write(tmp_path / "albert", "albert")
    refs = build_checkpoint().ref(), ModelRef(id="albert", source=str(tmp_path / "albert"))

    async def status():
        async with opened() as runtime:
            for ref in refs:
                await runtime.load(ref)
            return runtime.status(), runtime.metrics.render().decode()

    said, metrics = run(status())
    assert {model.id: model.native for model in said.models} == {refs[0].id: True, "albert": False}
    assert "shoal_engine_fallback_models 1.0" in metrics


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architectures": ["AlbertForSequenceClassification"]}, "only bodies"),
        ({"architectures": ["NobodyModel"]}, "Nor does transformers"),
        ({"model_type": "nobody", "architectures": ["NobodyModel"]}, "Nor does transformers"),
        ({"model_type": "nobody", "architectures": None}, "Nor does transformers"),
        ({"architectures": ["ViTModel"], "model_type": "vit"}, "no encoder of texts"),
        ({"architectures": ["BartModel"], "model_type": "bart", "is_encoder_decoder": True}, "no encoder of texts"),
        ({"architectures": ["AlbertModel"], "quantization_config": {"bits": 4}}, "quantization_config"),
        ({"architectures": ["OurModel"], "auto_map": {"AutoModel": "code.OurModel"}}, "code is not run"),
        ({"hidden_act": "nobody's"}, "does not build"),
    ],
    ids=str,
)
def test_what_can_not_run_is_refused_with_the_reason(tmp_path, changes, reason):
    write(tmp_path, "albert")
    (tmp_path / "code.py").write_text("raise SystemExit")
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(ArchitectureUnknown, match=reason):
        load(tmp_path)


def test_without_the_library_the_refusal_says_what_to_install(tmp_path, monkeypatch):
    write(tmp_path, "albert")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "transformers" else find(name))
    with pytest.raises(ArchitectureUnknown, match=r"pip install 'shoal-server\[fallback\]'"):
        describe(tmp_path)


def test_native_models_do_not_import_the_library(build_checkpoint):
    code = (
        "import sys, pathlib; from engine.settings import EngineSettings; from engine.device import open_device;"
        "from engine.loading.loaded import load_model; from engine.catalog import describe; import torch;"
        "load_model(describe(pathlib.Path(sys.argv[1])), open_device(EngineSettings(device='cpu')), torch.float32);"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(build_checkpoint().folder)], check=True)


def test_rectangles_hold_every_sequence_once_and_little_padding():
    runs = [Run(0, 3, 2), Run(6, 40, 9), Run(366, 1, 10), Run(376, 2, 100), Run(576, 1, 500)]
    groups = list(rectangles(runs))
    assert [shape for group in groups for shape in group] == [(run.length, 0) for run in runs for _ in range(run.count)]
    for group in groups:
        area = max(length for length, _ in group) * len(group)
        assert area <= max(LEAST, WASTE * sum(length for length, _ in group))


@pytest.mark.parametrize("kind", ["bert", "deberta-v2"])
def test_a_config_without_architectures_is_its_model_type_s_body(tmp_path, build_checkpoint, edit_json, kind):
    folder = build_checkpoint().folder
    edit_json(folder / "config.json", architectures=None)
    assert describe(folder).architecture == "BertModel"
    edit_json(folder / "config.json", model_type="deberta-v2")
    assert describe(folder).family == "deberta_v2"
