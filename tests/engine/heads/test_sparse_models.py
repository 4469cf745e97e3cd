"""Sparse vectors of whole model folders, against sentence-transformers on the same folders."""

import numpy as np
import pytest
import torch
from peak_memory import bound_of, peak_of
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    CamembertConfig,
    DistilBertConfig,
    GteConfig,
    ModernBertConfig,
    MPNetConfig,
    RobertaConfig,
)

from engine.catalog import describe
from engine.device import open_device
from engine.encoded import Encoded
from engine.errors import ArchitectureUnknown, TaskUnsupported
from engine.heads import HEADS, vocabulary
from engine.loading.loaded import load_model
from engine.protocol import EmbedRequest, ModelRef, RerankRequest
from engine.settings import EngineSettings

TEXTS = ["w1 w2 w3", "w9", "", "w4 w5 w6 w7 w8 w1 w2 . w3 w4 w4 w4", "w9 w9 w9 w9", "[CLS] [SEP]"]
VOCABULARY = 105
FAMILIES = {
    "BERT": (BertConfig, {}),
    "BERT, untied": (BertConfig, {"tie_word_embeddings": False}),
    "RoBERTa": (RobertaConfig, {"pad_token_id": 1, "max_position_embeddings": 70}),
    "CamemBERT, untied": (CamembertConfig, {"pad_token_id": 1, "tie_word_embeddings": False}),
    "DistilBERT": (DistilBertConfig, {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}),
    "DistilBERT, relu": (
        DistilBertConfig,
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "activation": "relu"},
    ),
    "GTE": (GteConfig, {}),
    "MPNet": (MPNetConfig, {"pad_token_id": 1}),
    "ModernBERT": (ModernBertConfig, {}),
    "ModernBERT, biases": (ModernBertConfig, {"classifier_bias": True, "norm_bias": True, "decoder_bias": False}),
}


@pytest.fixture
def build(bare_model, tmp_path):
    """A saved SparseEncoder over a small masked-language model; with `idf` its queries need no network."""

    def make(family="BERT", *, idf=None, **pooling):
        config, keys = FAMILIES[family]
        bare = str(bare_model(AutoModelForMaskedLM, config, **keys))
        network, pooled = Transformer(bare, transformer_task="fill-mask"), SpladePooling(**pooling)
        modules = [network, pooled]
        if idf is not None:
            table = SparseStaticEmbedding(tokenizer=network.tokenizer, weight=idf, frozen=True)
            modules = [Router.for_query_document([table], [network, pooled])]
        folder = tmp_path / "whole"
        SparseEncoder(modules=modules, device="cpu").save_pretrained(str(folder))
        return folder, SparseEncoder(str(folder), device="cpu")

    return make


@pytest.fixture
def embed(opened, run):
    """What a node says of texts, as dense rows over the vocabulary; every index is there once, ascending."""

    def ask(folder, texts=TEXTS, **asked):
        async def work():
            async with opened() as runtime:
                return await runtime.embed(
                    EmbedRequest(
                        model=ModelRef(id="m", source=str(folder)), inputs=list(texts), outputs=("sparse",), **asked
                    )
                )

        reply = run(work())
        assert (reply.vectors, reply.multi) == (b"", None)
        rows = np.zeros((len(texts), VOCABULARY), dtype=np.float32)
        for row, vector in zip(rows, reply.sparse, strict=True):
            indices, values = np.frombuffer(vector.indices, "<i4"), np.frombuffer(vector.values, "<f4")
            assert (np.diff(indices) > 0).all()
            assert (values != 0).all()
            row[indices] = values
        return rows

    return ask


def dense(vectors):
    return vectors.to_dense().numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_words_are_those_of_the_reference(build, embed, family):
    folder, reference = build(family)
    expected = dense(reference.encode_document(TEXTS))
    assert 0 < (expected > 0).mean() < 1
    np.testing.assert_allclose(embed(folder), expected, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
@pytest.mark.parametrize("strategy", ["max", "sum"])
def test_a_few_logits_at_a_time_pool_to_the_same(monkeypatch, build, embed, strategy, activation):
    folder, reference = build(pooling_strategy=strategy, activation_function=activation)
    expected = dense(reference.encode_document(TEXTS))
    for tokens in (1, 2, 5, 1000):
        monkeypatch.setattr(vocabulary, "NUMBERS", tokens * VOCABULARY)
        np.testing.assert_allclose(embed(folder), expected, atol=1e-5)


def test_the_logits_of_all_tokens_never_exist_at_once(monkeypatch, build):
    folder, _ = build()
    model = load_model(describe(folder), open_device(EngineSettings(device="cpu")), torch.float32)
    monkeypatch.setattr(vocabulary, "NUMBERS", 3 * VOCABULARY)
    seen = []
    linear = vocabulary.functional.linear

    def watched(x, *rest):
        out = linear(x, *rest)
        seen.append(tuple(out.shape))
        return out

    monkeypatch.setattr(vocabulary.functional, "linear", watched)
    model.run(model.pack([Encoded(np.full(length, 7, np.int32), outputs=("sparse",)) for length in (7, 1, 2, 4)]))
    logits = [shape for shape in seen if shape[1] == VOCABULARY]
    assert sum(tokens for tokens, _ in logits) == 14
    assert max(tokens for tokens, _ in logits) == 3


def test_queries_without_a_network_are_looked_up(build, embed, opened, run):
    idf = torch.rand(VOCABULARY, generator=torch.Generator().manual_seed(1)) + 0.1
    idf[9] = 0
    folder, reference = build(idf=idf, activation_function="log1p_relu")
    np.testing.assert_allclose(embed(folder, input_type="query"), dense(reference.encode_query(TEXTS)), atol=1e-6)
    for asked in ({"input_type": "document"}, {}):
        np.testing.assert_allclose(embed(folder, **asked), dense(reference.encode_document(TEXTS)), atol=1e-5)

    async def work():
        async with opened() as runtime:
            ref = ModelRef(id="m", source=str(folder))
            looked_up = await runtime.embed(
                EmbedRequest(model=ref, inputs=["w1 w1"], outputs=("sparse",), input_type="query")
            )
            return looked_up, await runtime.rerank(RerankRequest(model=ref, query="w1 w2", documents=TEXTS))

    looked_up, ranked = run(work())
    assert (looked_up.timings.inference, looked_up.token_counts) == (0, [2])
    expected = reference.similarity(reference.encode_query("w1 w2"), reference.encode_document(TEXTS))[0]
    np.testing.assert_allclose(ranked.scores, expected.numpy(), atol=1e-5)


def test_a_sparse_model_ranks_by_the_product(build, opened, run):
    folder, reference = build()

    async def work():
        async with opened() as runtime:
            ref = ModelRef(id="m", source=str(folder))
            with pytest.raises(TaskUnsupported, match="no dense output; it gives sparse"):
                await runtime.embed(EmbedRequest(model=ref, inputs=["w1"]))
            return await runtime.rerank(RerankRequest(model=ref, query="w1 w2", documents=TEXTS))

    expected = reference.similarity(reference.encode_query("w1 w2"), reference.encode_document(TEXTS))[0]
    np.testing.assert_allclose(run(work()).scores, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("file", "changes", "reason"),
    [
        ("1_SpladePooling/config.json", {"pooling_strategy": "mean"}, "by mean"),
        ("1_SpladePooling/config.json", {"activation_function": "gelu"}, "of gelu"),
        ("config.json", {"architectures": ["BertModel"]}, "masked-language models"),
        ("config.json", {"architectures": ["ElectraForMaskedLM"]}, "masked-language models"),
    ],
)
def test_what_is_not_known_of_sparse_models_is_refused(build, edit_json, file, changes, reason):
    folder, _ = build()
    edit_json(folder / file, **changes)
    with pytest.raises(ArchitectureUnknown, match=reason):
        describe(folder)


def test_a_router_to_two_networks_is_refused(build, bare_model, tmp_path):
    network = Transformer(str(bare_model(AutoModelForMaskedLM, BertConfig)), transformer_task="fill-mask")
    other = Transformer(
        str(bare_model(AutoModelForMaskedLM, BertConfig, name="other", seed=2)), transformer_task="fill-mask"
    )
    router = Router.for_query_document([other, SpladePooling()], [network, SpladePooling()])
    SparseEncoder(modules=[router], device="cpu").save_pretrained(str(tmp_path / "two"))
    with pytest.raises(ArchitectureUnknown, match="queries go through other modules"):
        describe(tmp_path / "two")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("strategy", ["max", "sum"])
@pytest.mark.parametrize("numbers", [2**19, 2**24])
@pytest.mark.filterwarnings("ignore")
def test_what_logits_take_of_memory_is_bounded(monkeypatch, bare_model, tmp_path, numbers, strategy, dtype):
    monkeypatch.setattr(vocabulary, "NUMBERS", numbers)
    bare = bare_model(AutoModelForMaskedLM, BertConfig, vocab_size=9000, hidden_size=64, intermediate_size=256)
    network = Transformer(str(bare), transformer_task="fill-mask")
    SparseEncoder(modules=[network, SpladePooling(strategy)], device="cpu").save_pretrained(str(tmp_path / "whole"))
    model = load_model(describe(tmp_path / "whole"), open_device(EngineSettings(device="cpu")), dtype)
    with torch.inference_mode():
        model.network.heads["sparse"].bias.sub_(100)  # vectors of random weights are not sparse
    lengths = [60] * 8 + [20]
    batch = model.pack([Encoded(np.full(length, 7, np.int32), outputs=("sparse",)) for length in lengths])
    model.run(batch)
    taken = peak_of(lambda: model.run(batch))
    spec, tokens = model.spec, sum(lengths)
    body = bound_of(spec.config, spec.family, dtype, lengths, longest=60)
    bound = body + HEADS["vocabulary"].bytes(spec.heads[0], spec.config, tokens, dtype.itemsize)
    assert bound / 3 <= taken <= bound
