"""Low-rank adapters: by PEFT's formula, several in one batch, the base in memory once."""

import asyncio
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    DebertaV2Config,
    DebertaV2Model,
    JinaEmbeddingsV3Config,
    JinaEmbeddingsV3Model,
    Qwen3Config,
    Qwen3Model,
)

from benchmarks.families.case import sequences
from benchmarks.families.checks import INVARIANCE, PARITY, apart, load
from benchmarks.families.folder import write_folder
from engine.device import open_device
from engine.encoded import Encoded
from engine.errors import ArchitectureUnknown, FolderIncomplete, ModelError, ModelInvalid, WeightMismatch
from engine.loading.plan import plan_load
from engine.protocol import EmbedRequest, ModelRef
from engine.settings import EngineSettings

BERT_LINEARS = ("query", "key", "value", "dense")
CPU = open_device(EngineSettings(device="cpu"))


def write_adapter(folder, tensors, *, seed=0, targets=BERT_LINEARS, rank=4, alpha=8, tables=(), **config):
    """An adapter as PEFT saves it, over all modules of a checkpoint whose names end so; gives what it adds to each."""
    generator = torch.Generator().manual_seed(seed)
    scale = alpha / (rank**0.5 if config.get("use_rslora") else rank)
    saved, added = {}, {}
    for name, weight in tensors.items():
        module = name.removesuffix(".weight")
        if weight.ndim != 2 or not module.endswith((*targets, *tables)):
            continue
        rows, columns = weight.shape
        is_table = module.endswith(tables) if tables else False
        narrow, wide = (rows, columns) if is_table else (columns, rows)
        first = torch.randn(rank, narrow, generator=generator) * 0.3
        second = torch.randn(wide, rank, generator=generator) * 0.3
        names = ("lora_embedding_A", "lora_embedding_B") if is_table else ("lora_A.weight", "lora_B.weight")
        saved |= {f"base_model.model.{module}.{part}": made for part, made in zip(names, (first, second), strict=True)}
        added[name] = scale * ((second @ first).t() if is_table else second @ first)
    folder.mkdir(parents=True)
    said = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "bias": "none", "target_modules": list(targets)}
    (folder / "adapter_config.json").write_text(json.dumps({**said, **config}))
    save_file({name: tensor.contiguous() for name, tensor in saved.items()}, folder / "adapter_model.safetensors")
    return added


def merged(source, target, added):
    """The base with an adapter's products added to its weights, as a folder."""
    shutil.copytree(source, target)
    tensors = load_file(source / "model.safetensors")
    save_file({name: tensor + added.get(name, 0) for name, tensor in tensors.items()}, target / "model.safetensors")
    return target


def adapter_of(folder, adapter):
    return plan_load(ModelRef(id="m", source=str(folder), adapter=str(adapter)), CPU).load()


def vectors(model, encoded):
    return [row["dense"] for row in model.run(model.pack(encoded))]


def with_adapter(encoded, adapter):
    return [Encoded(one.ids, one.types, adapter=adapter) for one in encoded]


@pytest.fixture
def base(tmp_path, build_checkpoint):
    folder = build_checkpoint("base", normalize=False).folder
    for file in ("modules.json", "1_Pooling/config.json"):
        (folder / file).unlink()
    return folder


ADAPTERS = (
    {"seed": 1},
    {"seed": 2, "rank": 8, "alpha": 4, "use_rslora": True},
    {"seed": 3, "targets": ("query", "value")},
    {"seed": 4, "targets": ("key",), "tables": ("word_embeddings",)},
    {"seed": 5, "targets": (), "tables": ("word_embeddings", "token_type_embeddings", "position_embeddings")},
)


@pytest.fixture
def three(base, tmp_path):
    """A base, adapters of every kind beside it, and each of them merged into a model of its own."""
    tensors = load_file(base / "model.safetensors")
    adapters, alone = [], []
    for number, options in enumerate(ADAPTERS):
        added = write_adapter(tmp_path / f"a{number}", tensors, **options)
        adapters.append(adapter_of(base, tmp_path / f"a{number}"))
        alone.append(load(merged(base, tmp_path / f"m{number}", added)))
    return load(base), adapters, alone


def test_an_adapter_is_what_it_adds_to_the_weights(three):
    model, adapters, alone = three
    encoded = sequences((3, 7, 3, 1, 30), 100)
    plain = vectors(model, encoded)
    for adapter, expected in zip(adapters, alone, strict=True):
        ours = vectors(model, with_adapter(encoded, adapter))
        assert apart(ours, vectors(expected, encoded)) <= PARITY
        assert apart(ours, plain) > 0.01
    assert np.array_equal(vectors(model, encoded), plain)


def test_sequences_of_many_adapters_and_of_none_share_a_batch(three):
    model, adapters, alone = three
    encoded = sequences((3, 7, 3, 1, 30, 12, 7, 7, 2, 9, 3, 3), 100, types=True)
    kinds = [None, *adapters]
    mixed = [with_adapter([one], kinds[place % len(kinds)])[0] for place, one in enumerate(encoded)]
    together = vectors(model, mixed)
    assert apart(together, [vectors(model, [one])[0] for one in mixed]) <= INVARIANCE
    models = [model, *alone]
    expected = [vectors(models[place % len(kinds)], [one])[0] for place, one in enumerate(encoded)]
    assert apart(together, expected) <= PARITY
    assert apart(together, vectors(model, mixed[::-1])[::-1]) <= INVARIANCE


def test_decoders_with_fused_projections(tmp_path):
    torch.manual_seed(0)
    sizes = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = Qwen3Config(**sizes, intermediate_size=48, num_key_value_heads=2, head_dim=8, max_position_embeddings=40)
    state = {name: torch.randn(tensor.shape) * 0.2 for name, tensor in Qwen3Model(config).state_dict().items()}
    write_folder(tmp_path / "base", {**config.to_dict(), "architectures": ["Qwen3Model"]}, state)
    targets = ("q_proj", "v_proj", "up_proj", "down_proj")
    added = write_adapter(tmp_path / "a", state, targets=targets)
    adapter = adapter_of(tmp_path / "base", tmp_path / "a")
    encoded = sequences((3, 12, 7, 1), 100)
    expected = vectors(load(merged(tmp_path / "base", tmp_path / "m", added)), encoded)
    assert apart(vectors(load(tmp_path / "base"), with_adapter(encoded, adapter)), expected) <= PARITY


def test_deberta_s_shared_projections_are_refused_and_its_others_adapted(tmp_path):
    sizes = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
    config = DebertaV2Config(**sizes, intermediate_size=48, max_position_embeddings=40, position_buckets=8, **relative)
    state = {name: torch.randn(tensor.shape) * 0.2 for name, tensor in DebertaV2Model(config).state_dict().items()}
    write_folder(tmp_path / "base", {**config.to_dict(), "architectures": ["DebertaV2Model"]}, state)
    write_adapter(tmp_path / "q", state, targets=("query_proj",))
    with pytest.raises(ArchitectureUnknown, match="query_proj"):
        adapter_of(tmp_path / "base", tmp_path / "q")
    added = write_adapter(tmp_path / "v", state, targets=("value_proj", "dense"))
    adapter = adapter_of(tmp_path / "base", tmp_path / "v")
    encoded = sequences((3, 12, 7), 100)
    expected = vectors(load(merged(tmp_path / "base", tmp_path / "m", added)), encoded)
    assert apart(vectors(load(tmp_path / "base"), with_adapter(encoded, adapter)), expected) <= PARITY


TASKS = ("retrieval.query", "retrieval.passage", "separation")


@pytest.fixture
def jina(tmp_path):
    """Jina v3 with adapters of three tasks on every projection and table; and each task merged."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = JinaEmbeddingsV3Config(**sizes, intermediate_size=64, max_position_embeddings=40)
    plain = {
        name: torch.randn(tensor.shape) * 0.2 for name, tensor in JinaEmbeddingsV3Model(config).state_dict().items()
    }
    plain = {name: tensor for name, tensor in plain.items() if "pooler" not in name}
    said = {**config.to_dict(), "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta"}
    said |= {"rope_parameters": None, "position_embedding_type": "rotary", "rotary_emb_base": 20_000.0}
    hub, merges = {}, [dict(plain) for _ in TASKS]
    for name, tensor in plain.items():
        if tensor.ndim == 1:
            hub[f"roberta.{name}"] = tensor
            continue
        stem = f"roberta.{name.removesuffix('weight')}parametrizations.weight"
        first, second = torch.randn(3, 4, tensor.shape[1]) * 0.3, torch.randn(3, tensor.shape[0], 4) * 0.3
        if "embeddings" in name:  # stored the other way round
            first, second = torch.randn(3, tensor.shape[0], 4) * 0.3, torch.randn(3, 4, tensor.shape[1]) * 0.3
        hub |= {f"{stem}.original": tensor, f"{stem}.0.lora_A": first, f"{stem}.0.lora_B": second}
        for task, state in enumerate(merges):
            product = first[task] @ second[task] if "embeddings" in name else second[task] @ first[task]
            state[name] = tensor + product / 4
    adapters = {"lora_adaptations": list(TASKS), "lora_rank": 4, "lora_alpha": 1}
    instructions = {"task_instructions": {"retrieval.query": "w5 w6 ", "retrieval.passage": "w7 "}}
    write_folder(tmp_path / "jina", {**said, **adapters, **instructions}, hub)
    write_folder(tmp_path / "plain", said, plain)
    for task, state in zip(TASKS, merges, strict=True):
        write_folder(tmp_path / task, said, state)
    return tmp_path


@pytest.mark.parametrize(
    ("asked", "folder", "prompt"),
    [
        ({}, "plain", ""),
        ({"task": "retrieval.query"}, "retrieval.query", "w5 w6 "),
        ({"task": "retrieval.passage"}, "retrieval.passage", "w7 "),
        ({"task": "separation"}, "separation", ""),
        ({"prompt_name": "retrieval.query"}, "retrieval.query", "w5 w6 "),
        ({"input_type": "document"}, "retrieval.passage", "w7 "),
    ],
    ids=str,
)
def test_jina_s_task_chooses_the_adapter_and_the_prompt(opened, run, decode, jina, asked, folder, prompt):
    texts = ["w9 w10 w11", "w12"]

    async def embed():
        async with opened() as runtime:
            model = ModelRef(id="jina", source=str(jina / "jina"))
            reply = await runtime.embed(EmbedRequest(model=model, inputs=texts, **asked))
            other = ModelRef(id="other", source=str(jina / folder))
            return decode(reply), decode(
                await runtime.embed(EmbedRequest(model=other, inputs=[prompt + t for t in texts]))
            )

    ours, expected = run(embed())
    assert np.abs(ours - expected).max() <= PARITY


def test_the_base_is_in_memory_once_and_adapters_are_counted(opened, run, decode, base, tmp_path):
    tensors = load_file(base / "model.safetensors")
    refs = [ModelRef(id="base", source=str(base))]
    expected = []
    for number in range(3):
        added = write_adapter(tmp_path / f"a{number}", tensors, seed=number)
        refs.append(ModelRef(id="base", source=str(base), adapter=str(tmp_path / f"a{number}")))
        expected.append(ModelRef(id=f"m{number}", source=str(merged(base, tmp_path / f"m{number}", added))))

    async def storm():
        async with opened() as runtime:
            requests = [EmbedRequest(model=ref, inputs=[f"w{n} w9", "w7"]) for n in range(8) for ref in refs]
            replies = await asyncio.gather(*map(runtime.embed, requests))
            status = runtime.status()
            alone = [await runtime.embed(EmbedRequest(model=ref, inputs=["w0 w9", "w7"])) for ref in expected]
            return list(map(decode, replies)), status, list(map(decode, alone))

    replies, status, alone = run(storm())
    for place, vectors_alone in enumerate(alone):
        assert np.abs(replies[place + 1] - vectors_alone).max() <= PARITY
    listed = {model.adapter: model.bytes for model in status.models}
    assert listed.keys() == {ref.adapter for ref in refs}
    assert {model.id for model in status.models} == {"base"}
    assert status.memory_used == sum(listed.values())
    assert all(0 < size < listed[None] for adapter, size in listed.items() if adapter)


def test_an_adapter_that_went_is_brought_back_and_many_bases_do_not_wait_for_each_other(
    opened, run, build_checkpoint, tmp_path
):
    refs = []
    for number in range(3):
        folder = build_checkpoint(f"b{number}", seed=number).folder
        write_adapter(tmp_path / f"a{number}", load_file(folder / "model.safetensors"), seed=number, rank=16)
        refs.append(ModelRef(id=f"b{number}", source=str(folder), adapter=str(tmp_path / f"a{number}")))

    async def sizes():
        async with opened() as runtime:
            return [model.bytes for model in (await runtime.load(refs[0])).models]

    both = sum(run(sizes()))

    async def storm():
        async with opened(memory_budget=both + both // 4, host_budget=0, load_patience=20) as runtime:
            waiting = [runtime.embed(EmbedRequest(model=ref, inputs=["w1"])) for _ in range(6) for ref in refs]
            return [reply.vectors for reply in await asyncio.gather(*waiting)]

    replies = run(storm())
    assert len(set(replies)) == 3
    assert replies == replies[:3] * 6


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias 'all'"),
        ({"modules_to_save": ["classifier"]}, "modules_to_save"),
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"rank_pattern": {"x": 2}}, "rank_pattern"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"r": 3}, "rank is 3"),
        ({"lora_alpha": None}, "lora_alpha"),
    ],
    ids=str,
)
def test_what_an_adapter_asks_for_and_is_not_done_is_refused_by_name(base, tmp_path, config, reason):
    write_adapter(tmp_path / "a", load_file(base / "model.safetensors"))
    said = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    (tmp_path / "a" / "adapter_config.json").write_text(json.dumps({**said, **config}))
    with pytest.raises(ModelInvalid, match=f"The adapter .*a of the model m can not be served.*{reason}"):
        adapter_of(base, tmp_path / "a")


def edited(folder, change):
    file = folder / "adapter_model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in change(load_file(file)).items()}, file)


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (lambda tensors: {k.replace("layer.0", "layer.9"): v for k, v in tensors.items()}, WeightMismatch, "layer.9"),
        (lambda tensors: {**tensors, "base_model.model.x.bias": torch.ones(1)}, ArchitectureUnknown, "x.bias"),
        (lambda tensors: {k: v for k, v in tensors.items() if "lora_A" not in k}, ArchitectureUnknown, "lora_B"),
        (lambda tensors: {k: v[:, :5] if "lora_A" in k else v for k, v in tensors.items()}, WeightMismatch, "matrices"),
        (lambda tensors: {k: v * float("nan") for k, v in tensors.items()}, ModelInvalid, "finite"),
    ],
)
def test_weights_that_do_not_fit_the_base_are_refused_by_name(base, tmp_path, change, error, reason):
    write_adapter(tmp_path / "a", load_file(base / "model.safetensors"))
    edited(tmp_path / "a", change)
    with pytest.raises(error, match=reason):
        adapter_of(base, tmp_path / "a")


def test_a_folder_without_an_adapter_is_refused(base, tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        with pytest.raises(FolderIncomplete, match=name):
            adapter_of(base, tmp_path / "a")
        (tmp_path / "a" / name).write_text('{"r": 1, "lora_alpha": 1}')


def test_what_goes_through_a_head_or_the_library_is_refused(tmp_path, base, edit_json):
    tensors = load_file(base / "model.safetensors")
    edit_json(base / "config.json", architectures=["BertForSequenceClassification"])
    save_file(
        {**tensors, "classifier.weight": torch.ones(2, 32), "classifier.bias": torch.ones(2)},
        base / "model.safetensors",
    )
    write_adapter(tmp_path / "a", {"pooler.dense.weight": torch.ones(32, 32)})
    with pytest.raises(ArchitectureUnknown, match="pooler"):
        adapter_of(base, tmp_path / "a")
    edit_json(base / "config.json", architectures=["AlbertModel"], model_type="albert")
    with pytest.raises(ModelError, match="transformers"):
        adapter_of(base, tmp_path / "a")


def test_a_base_that_is_pinned_stays_so_whatever_its_adapters_requests_say(opened, run, base, tmp_path):
    write_adapter(tmp_path / "a", load_file(base / "model.safetensors"))
    pinned = ModelRef(id="base", source=str(base), pinned=True)
    beside = ModelRef(id="base", source=str(base), adapter=str(tmp_path / "a"))

    async def status():
        async with opened() as runtime:
            for ref in (pinned, beside):
                await runtime.embed(EmbedRequest(model=ref, inputs=["w1"]))
            return {model.adapter: model.pinned for model in runtime.status().models}

    assert run(status()) == {None: True, beside.adapter: False}
