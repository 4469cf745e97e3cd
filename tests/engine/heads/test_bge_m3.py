"""BGE-M3: three outputs of one pass, by FlagEmbedding's formulas written out over transformers' hidden states."""

import asyncio
import json

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModel, XLMRobertaConfig

from engine.catalog import describe
from engine.errors import ModelInvalid
from engine.models.roberta import Roberta
from engine.protocol import EmbedReply, EmbedRequest, ModelRef, RerankRequest

TEXTS = ["w1 w2 w1 [UNK] zzz w3", "w9", "", "w4 w5 w6 w4 w4 w8 w1 w2 . w3", "[CLS] [SEP]"]
SPECIAL = (0, 1, 2, 3)
"""Padding, unknown, first and last token of the fixture's tokenizer."""


def as_torch(folder, name, tensors):
    torch.save(tensors, folder / f"{name}.pt")


def as_safetensors(folder, name, tensors):
    save_file(tensors, folder / f"{name}.safetensors")


@pytest.fixture(params=[as_torch, as_safetensors])
def model(request, bare_model, edit_json):
    """The folder, transformers' network, and the two projections."""
    folder = bare_model(AutoModel, XLMRobertaConfig, pad_token_id=1, max_position_embeddings=66)
    generator = torch.Generator().manual_seed(6)
    parts = {
        "sparse_linear": {
            "weight": torch.randn(1, 32, generator=generator) / 5,
            "bias": torch.tensor([3.2]),
        },
        "colbert_linear": {
            "weight": torch.randn(32, 32, generator=generator) / 5,
            "bias": torch.randn(32, generator=generator),
        },
    }
    edit_json(folder / "tokenizer_config.json", eos_token="[SEP]")
    for name, tensors in parts.items():
        request.param(folder, name, tensors)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": 0, "name": "", "path": path, "type": f"sentence_transformers.models.{kind}"}
        for path, kind in kinds.items()
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    return folder, AutoModel.from_pretrained(folder, attn_implementation="eager").eval(), parts


@torch.no_grad()
def flag_embedding(network, parts, ids):
    """As `M3Embedder.encode`: dense, lexical weights by token, vectors of all tokens but the first."""
    # Said, because the fixture's unknown token has the id that the network's config calls padding.
    positions = torch.arange(2, 2 + len(ids))[None]
    hidden = network(input_ids=torch.tensor([ids]), position_ids=positions).last_hidden_state[0]
    dense = torch.nn.functional.normalize(hidden[0], dim=-1)
    sparse, multi = (torch.nn.Linear(32, rows) for rows in (1, 32))
    sparse.load_state_dict(parts["sparse_linear"])
    multi.load_state_dict(parts["colbert_linear"])
    weights = {}
    for weight, token in zip(torch.relu(sparse(hidden))[:, 0].tolist(), ids, strict=True):
        if token not in SPECIAL and weight > weights.get(token, 0):
            weights[token] = weight
    return dense.numpy(), weights, torch.nn.functional.normalize(multi(hidden[1:]), dim=-1).numpy()


def test_three_outputs_come_of_one_pass_and_are_those_of_the_formulas(model, opened, run, decode, monkeypatch):
    folder, network, parts = model
    passes = []
    forward = Roberta.forward
    monkeypatch.setattr(
        Roberta, "forward", lambda self, tokens: (passes.append(len(tokens.ids)), forward(self, tokens))[1]
    )

    async def work():
        async with opened() as runtime:
            ref = ModelRef(id="m3", source=str(folder))
            await runtime.load(ref)
            passes.clear()
            every = await runtime.embed(EmbedRequest(model=ref, inputs=TEXTS, outputs=("sparse", "multi", "dense")))
            counted = len(passes)
            only = [
                await runtime.embed(EmbedRequest(model=ref, inputs=TEXTS, outputs=(output,)))
                for output in ("dense", "sparse", "multi")
            ]
            ranked = await runtime.rerank(RerankRequest(model=ref, query=TEXTS[1], documents=TEXTS))
            return every, counted, only, ranked

    every, counted, (dense, sparse, multi), ranked = run(work())
    assert counted == 1
    assert passes[0] == sum(every.token_counts)
    assert every.multi_dimensions == 32
    assert (dense.vectors, dense.sparse, dense.multi) == (every.vectors, None, None)
    assert (sparse.vectors, sparse.sparse, sparse.multi) == (b"", every.sparse, None)
    assert (multi.vectors, multi.sparse, multi.multi) == (b"", None, every.multi)
    vectors = decode(every)
    np.testing.assert_allclose(ranked.scores, vectors @ vectors[1], atol=1e-5)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for place, text in enumerate(TEXTS):
        one, weights, many = flag_embedding(network, parts, tokenizer.encode(text).ids)
        np.testing.assert_allclose(vectors[place], one, atol=1e-5)
        np.testing.assert_allclose(np.frombuffer(every.multi[place], "<f4").reshape(-1, 32), many, atol=1e-5)
        indices = np.frombuffer(every.sparse[place].indices, "<i4").tolist()
        assert indices == sorted(weights)
        values = np.frombuffer(every.sparse[place].values, "<f4")
        np.testing.assert_allclose(values, [weights[token] for token in indices], atol=1e-5)
    assert [len(one.indices) > 0 for one in every.sparse] == [True, True, False, True, False]


def test_outputs_that_each_sequence_asks_for_share_a_batch(model, opened, run):
    folder, _, _ = model

    async def work():
        async with opened() as runtime:
            ref = ModelRef(id="m3", source=str(folder))
            asked = [("dense",), ("sparse",), ("multi", "dense"), ("dense", "sparse", "multi")] * 3
            calls = [
                runtime.embed(EmbedRequest(model=ref, inputs=TEXTS[place % 3 :], outputs=outputs))
                for place, outputs in enumerate(asked)
            ]
            replies = await asyncio.gather(*calls)
            whole = await runtime.embed(EmbedRequest(model=ref, inputs=TEXTS, outputs=("dense", "sparse", "multi")))
            return asked, replies, whole

    asked, replies, whole = run(work())
    for place, (outputs, reply) in enumerate(zip(asked, replies, strict=True)):
        first = place % 3
        if "dense" in outputs:
            ours, all_of_them = (np.frombuffer(one.vectors, "<f4").reshape(-1, 32) for one in (reply, whole))
            np.testing.assert_allclose(ours, all_of_them[first:], atol=1e-5)
        if "sparse" in outputs:
            assert [one.indices for one in reply.sparse] == [one.indices for one in whole.sparse[first:]]
        if "multi" in outputs:
            assert [len(one) for one in reply.multi] == [len(one) for one in whole.multi[first:]]


def test_half_of_it_is_refused(model):
    folder, _, _ = model
    next(folder.glob("colbert_linear.*")).unlink()
    with pytest.raises(ModelInvalid, match="one of them is missing"):
        describe(folder)


def test_all_outputs_cross_the_wire(model, served, run):
    folder, _, _ = model
    request = EmbedRequest(
        model=ModelRef(id="m3", source=str(folder)),
        inputs=TEXTS,
        outputs=("dense", "sparse", "multi"),
        output_dtype="int8",
        input_type="document",
    )

    async def work():
        async with served() as (client, runtime):
            answer = await client.post("/embed", content=msgspec.msgpack.encode(request))
            return msgspec.msgpack.decode(answer.content, type=EmbedReply), await runtime.embed(request)

    sent, said = run(work())
    for field in ("dimensions", "vectors", "sparse", "multi", "multi_dimensions", "scale", "offset", "token_counts"):
        assert getattr(sent, field) == getattr(said, field)
    assert len(sent.vectors) == len(TEXTS) * 32
    assert sent.scale == 1 / 127
