"""Late interaction in its three formats, against sentence-transformers' `MultiVectorEncoder` on the same folders."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from torch import nn
from transformers import AutoModel, BertConfig, ModernBertConfig, MPNetConfig, XLMRobertaConfig

from engine.catalog import describe
from engine.errors import ArchitectureUnknown, BadRequest, ModelInvalid, TaskUnsupported
from engine.heads import similarity
from engine.protocol import EmbedRequest, ModelRef, RerankRequest

TEXTS = ["w1 . w2 w3", "w9", "", "w4 w5 , w6 w7 w8 w1 w2 . w3 w5 w5 w5 w5 w5", ". !", "w9 [SEP] w9"]
BODIES = {
    "BERT": (BertConfig, {}),
    "XLM-R": (XLMRobertaConfig, {"pad_token_id": 1, "max_position_embeddings": 66}),
    "ModernBERT": (ModernBertConfig, {"local_attention": 8}),
    "MPNet": (MPNetConfig, {"pad_token_id": 1}),
}


@pytest.fixture
def stanford(bare_model, edit_json):
    def make(body="BERT", **metadata):
        config, keys = BODIES[body]
        folder = bare_model(AutoModel, config, **keys)
        edit_json(folder / "config.json", architectures=["HF_ColBERT"])
        tensors = load_file(folder / "model.safetensors")
        prefix = {"BERT": "bert", "XLM-R": "roberta", "MPNet": "mpnet"}.get(body, "model")
        tensors = {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}
        tensors["linear.weight"] = torch.randn(16, 32, generator=torch.Generator().manual_seed(4)) / 4
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "artifact.metadata").write_text(json.dumps({"query_maxlen": 9, "doc_maxlen": 11, **metadata}))
        return folder

    return make


@pytest.fixture
def pylate(bare_model):
    def make(body="BERT", **settings):
        config, keys = BODIES[body]
        folder = bare_model(AutoModel, config, **keys)
        types = {"": "sentence_transformers.models.Transformer", "1_Dense": "pylate.models.Dense.Dense"}
        modules = [
            {"idx": place, "name": str(place), "path": path, "type": types[path]} for place, path in enumerate(types)
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
        said = {
            "model_type": "ColBERT",
            "query_prefix": "[unused0] ",
            "document_prefix": "[unused1] ",
            "query_length": 9,
            "document_length": 11,
            "attend_to_expansion_tokens": False,
            "similarity_fn_name": "MaxSim",
        }
        (folder / "config_sentence_transformers.json").write_text(json.dumps({**said, **settings}))
        dense = {"in_features": 32, "out_features": 16, "bias": False}
        dense["activation_function"] = "torch.nn.modules.linear.Identity"
        (folder / "1_Dense").mkdir()
        (folder / "1_Dense" / "config.json").write_text(json.dumps(dense))
        weight = torch.randn(16, 32, generator=torch.Generator().manual_seed(4)) / 4
        save_file({"linear.weight": weight}, folder / "1_Dense" / "model.safetensors")
        return folder

    return make


@pytest.fixture
def modular(bare_model, tmp_path):
    def make(body="BERT", *between, skipped=(".", ","), skiplist_tasks=None, similarity="maxsim", **transformer):
        config, keys = BODIES[body]
        torch.manual_seed(5)
        model = MultiVectorEncoder(
            modules=[
                Transformer(str(bare_model(AutoModel, config, **keys)), **transformer),
                Dense(32, 16, bias=False, activation_function=nn.Identity(), module_input_name="token_embeddings"),
                *between,
                MultiVectorMask(skiplist_words=list(skipped), skiplist_tasks=skiplist_tasks),
                Normalize(module_input_name="token_embeddings"),
            ],
            prompts={"query": "w7 ", "document": "w8 "},
            similarity_fn_name=similarity,
            device="cpu",
        )
        model.save_pretrained(str(tmp_path / "whole"))
        return tmp_path / "whole"

    return make


@pytest.fixture
def check(opened, run):
    """Vectors of both sides, alone and in company, and scores, are the reference's."""

    def compare(folder):
        reference = MultiVectorEncoder(str(folder), device="cpu")
        ref = ModelRef(id="m", source=str(folder))

        async def work():
            async with opened() as runtime:

                async def embed(side, texts=TEXTS):
                    reply = await runtime.embed(
                        EmbedRequest(model=ref, inputs=list(texts), input_type=side, outputs=("multi",))
                    )
                    assert (reply.vectors, reply.sparse, reply.multi_dimensions) == (b"", None, 16)
                    return [np.frombuffer(one, "<f4").reshape(-1, 16) for one in reply.multi]

                both = [await embed(side) for side in ("query", "document")]
                alone = [(await embed("query", [text]))[0] for text in TEXTS]
                undeclared = await embed(None)
                ranked = await runtime.rerank(RerankRequest(model=ref, query=TEXTS[0], documents=TEXTS))
                return both, alone, undeclared, ranked

        (queries, documents), alone, undeclared, ranked = run(work())
        expected = [
            [vectors.numpy() for vectors in side]
            for side in (reference.encode_query(TEXTS), reference.encode_document(TEXTS))
        ]
        for ours, theirs in (
            (queries, expected[0]),
            (documents, expected[1]),
            (alone, queries),
            (undeclared, documents),
        ):
            assert [one.shape for one in ours] == [one.shape for one in theirs]
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-5)
        scores = reference.similarity(reference.encode_query(TEXTS[:1]), reference.encode_document(TEXTS))[0]
        np.testing.assert_allclose(ranked.scores, scores.numpy(), atol=1e-4)
        return queries, documents

    return compare


@pytest.mark.parametrize("attend", [False, True])
@pytest.mark.parametrize("body", BODIES)
def test_stanfords_format(stanford, check, body, attend):
    queries, documents = check(stanford(body, attend_to_mask_tokens=attend))
    assert {len(query) for query in queries} == {9}
    assert [len(document) for document in documents] == [6, 4, 3, 10, 3, 6]


def test_stanfords_format_with_markers_and_punctuation_of_its_own(stanford, check):
    folder = stanford(query_token_id="w90", doc_token_id="w91", mask_punctuation=False, query_maxlen=4)
    queries, documents = check(folder)
    assert {len(query) for query in queries} == {4}
    assert [len(document) for document in documents] == [7, 4, 3, 11, 5, 6]


def test_a_marker_is_one_token_whatever_the_tokenizer_makes_of_it(stanford):
    folder = stanford()
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert len(tokenizer.encode("[unused0]", add_special_tokens=False)) == 3
    head = describe(folder).heads[0]
    assert head.settings["reading"].query_prefix == "[unused0]"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"attend_to_expansion_tokens": True},
        {"do_query_expansion": False},
        {"skiplist_words": ["w5"]},
        {"skiplist_words": [], "query_length": 20, "document_length": None},
        {"query_prefix": "w90 ", "document_prefix": "query: ", "prompts": {"query": "w3 ", "document": ""}},
        {"query_prefix": "", "document_prefix": ""},
        {"similarity_fn_name": "meanmaxsim"},
    ],
    ids=str,
)
def test_pylates_format(pylate, check, settings):
    check(pylate(**settings))


@pytest.mark.parametrize("body", BODIES)
def test_pylates_format_on_other_networks(pylate, check, body):
    check(pylate(body))


@pytest.mark.parametrize(
    "transformer",
    [
        {},
        {"query_length": 5, "document_length": 6},
        {"query_expansion": {"strategy": "fixed", "length": 8}},
        {"query_expansion": {"strategy": "min", "length": 8, "attend": True, "token": "w90"}},
        {"query_expansion": {"strategy": "min", "length": 8}, "query_length": 10},
    ],
    ids=str,
)
def test_the_format_of_sentence_transformers(modular, check, transformer):
    check(modular(**transformer))


def test_the_format_of_sentence_transformers_with_more_modules(modular, check):
    dense = Dense(16, 16, activation_function=nn.Tanh(), module_input_name="token_embeddings", use_residual=True)
    check(modular("BERT", dense, skiplist_tasks=["query", "document"], similarity="meanmaxsim"))


def test_what_is_not_known_of_late_interaction_is_refused(modular, pylate, stanford, edit_json):
    folder = modular()
    mask = next(folder.glob("*_MultiVectorMask"))
    edit_json(mask / "config.json", keep_only_token_ids=[3])
    with pytest.raises(ArchitectureUnknown, match="keep_only_token_ids"):
        describe(folder)
    folder = pylate()
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        (folder / file).unlink(missing_ok=True)
    with pytest.raises(ModelInvalid, match="mask token"):
        describe(folder)


def test_a_model_of_many_vectors_has_no_single_one(stanford, opened, run):
    ref = ModelRef(id="m", source=str(stanford()))

    async def work():
        async with opened() as runtime:
            with pytest.raises(TaskUnsupported, match="no dense output; it gives multi"):
                await runtime.embed(EmbedRequest(model=ref, inputs=["w1"]))

    run(work())


@pytest.mark.parametrize("products", [1, 40, 2**22])
@pytest.mark.parametrize("mean", [False, True])
def test_max_sim_is_its_formula_however_it_is_cut(monkeypatch, mean, products):
    monkeypatch.setattr(similarity, "PRODUCTS", products)
    generator = np.random.default_rng(0)
    query = generator.standard_normal((5, 8), dtype=np.float32)
    documents = [generator.standard_normal((length, 8), dtype=np.float32) for length in (3, 1, 0, 20, 2)]
    expected = [
        0.0 if not len(document) else sum(max(float(q @ d) for d in document) for q in query) / (5 if mean else 1)
        for document in documents
    ]
    np.testing.assert_allclose(similarity.max_sim(query, documents, mean=mean), expected, rtol=1e-5)
    assert similarity.max_sim(query[:0], documents, mean=mean) == [0.0] * 5


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_limit_that_leaves_no_room_is_said_or_met(stanford, opened, run, limit):
    ref = ModelRef(id="m", source=str(stanford()), max_tokens=limit)

    async def work():
        async with opened() as runtime:
            return await runtime.embed(EmbedRequest(model=ref, inputs=["w1 w2 w3"], outputs=("multi",)))

    if limit < 3:
        with pytest.raises(BadRequest, match="leaves no room"):
            run(work())
    else:
        assert run(work()).token_counts == [limit]
