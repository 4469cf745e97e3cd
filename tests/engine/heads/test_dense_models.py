"""Dense vectors of whole model folders, against sentence-transformers on the same folders."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from torch import nn
from transformers import AutoModel, BertConfig

from engine.catalog import describe
from engine.errors import ArchitectureUnknown, BadRequest, DimensionsUnsupported, ModelInvalid, TaskUnsupported
from engine.protocol import EmbedRequest, ModelRef

TEXTS = ["w1 w2 w3", "w9", "", "w4 w5 w6 w7 w8 w1 w2 . w3", "w9 w9 w9 w9", "[CLS] [SEP]"]


@pytest.fixture
def build(bare_model, tmp_path):
    """A saved SentenceTransformer: the modules that come after a small BERT, randomised."""

    def make(*modules, prompts=None, **keys):
        model = SentenceTransformer(
            modules=[Transformer(str(bare_model(AutoModel, BertConfig, **keys))), *modules],
            prompts=prompts,
            device="cpu",
        )
        torch.manual_seed(3)
        with torch.no_grad():
            for module in modules:
                for parameter in module.parameters():
                    parameter.normal_(0.1, 0.3)
        folder = tmp_path / "whole"
        model.save_pretrained(str(folder))
        return folder, SentenceTransformer(str(folder), device="cpu")

    return make


@pytest.fixture
def embed(opened, run, decode):
    """What a node says of texts, as rows."""

    def ask(folder, texts=TEXTS, **asked):
        async def work():
            async with opened() as runtime:
                reply = await runtime.embed(
                    EmbedRequest(model=ModelRef(id="m", source=str(folder)), inputs=list(texts), **asked)
                )
                return decode(reply)

        return run(work())

    return ask


MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


@pytest.mark.parametrize("modes", [*MODES, list(MODES), ["lasttoken", "mean"]], ids=str)
def test_every_pooling_is_that_of_the_reference(build, embed, modes):
    folder, reference = build(Pooling(32, pooling_mode=modes))
    np.testing.assert_allclose(embed(folder), reference.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_prompts_can_be_left_out_of_the_pooling_alone(build, embed, mode):
    prompts = {"query": "w7 w8 ", "long": "w1 " * 70}
    folder, reference = build(Pooling(32, pooling_mode=mode, include_prompt=False), prompts=prompts)
    expected = reference.encode(TEXTS, prompt_name="query")
    np.testing.assert_allclose(embed(folder, prompt_name="query"), expected, atol=1e-5)
    pooled_whole = reference.encode([prompts["query"] + text for text in TEXTS])
    assert mode == "lasttoken" or np.abs(expected - pooled_whole).max() > 1e-2
    assert np.isfinite(embed(folder, prompt_name="long")).all()


@pytest.mark.parametrize(
    "modules",
    [
        [Pooling(32), Dense(32, 48), Normalize()],
        [Pooling(32), Dense(32, 32, bias=False, activation_function=nn.Identity()), Normalize()],
        [Pooling(32), Normalize(), Dense(32, 24, activation_function=nn.GELU()), LayerNorm(24)],
        [Pooling(32), LayerNorm(32), Dense(32, 32, use_residual=True), Dense(32, 16, use_residual=True), Normalize()],
        [Dense(32, 20, activation_function=nn.ReLU(), module_input_name="token_embeddings"), Pooling(20, "max")],
    ],
    ids=lambda modules: " ".join(type(module).__name__ for module in modules),
)
def test_modules_around_the_pooling_are_applied_in_their_order(build, embed, modules):
    folder, reference = build(*modules)
    vectors = embed(folder)
    np.testing.assert_allclose(vectors, reference.encode(TEXTS), atol=1e-5)
    assert vectors.shape[1] == describe(folder).dimensions == reference.get_embedding_dimension()


def test_matryoshka_widths_are_cut_after_all_modules_and_normalised_again(build, embed, edit_json):
    folder, reference = build(Pooling(32), Dense(32, 48), Normalize())
    edit_json(folder / "config.json", matryoshka_dimensions=[8, 48])
    expected = reference.encode(TEXTS, truncate_dim=8, normalize_embeddings=True)
    np.testing.assert_allclose(embed(folder, dimensions=8), expected, atol=1e-5)
    with pytest.raises(DimensionsUnsupported, match="48 dimensions and is trained for 8, 48"):
        embed(folder, dimensions=9)


def test_prompts_are_chosen_by_name_task_and_type_as_the_reference_does(build, embed):
    prompts = {"query": "w1 ", "document": "w2 ", "STS": "w3 "}
    folder, reference = build(Pooling(32), prompts=prompts)
    text = ["w9 w8"]
    spoken = {name: reference.encode(text, prompt_name=name) for name in prompts}
    plain = reference.encode(text)
    for asked, expected in (
        ({}, plain),
        ({"input_type": "query"}, reference.encode_query(text)),
        ({"input_type": "document"}, reference.encode_document(text)),
        ({"prompt_name": "STS"}, spoken["STS"]),
        ({"prompt_name": "STS", "task": "query", "input_type": "query"}, spoken["STS"]),
        ({"task": "sts"}, spoken["STS"]),
        ({"task": "retrieval.query"}, spoken["query"]),
        ({"task": "retrieval.passage", "input_type": "query"}, spoken["document"]),
    ):
        np.testing.assert_allclose(embed(folder, text, **asked), expected, atol=1e-5)
    with pytest.raises(BadRequest, match="no prompt 'nope'; it has STS, document, query"):
        embed(folder, text, prompt_name="nope")
    with pytest.raises(BadRequest, match="task 'poetry'; it has STS, document, query"):
        embed(folder, text, task="poetry")


def test_what_the_model_does_not_give_is_named(build, embed):
    folder, _ = build(Pooling(32))
    with pytest.raises(TaskUnsupported, match="no sparse, multi output; it gives dense"):
        embed(folder, outputs=("dense", "sparse", "multi"))
    with pytest.raises(BadRequest, match="No output"):
        embed(folder, outputs=())


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"activation_function": "os.system"}, ArchitectureUnknown, "os.system"),
        ({"activation_function": "torch.nn.modules.activation.Hardtanh"}, ArchitectureUnknown, "hardtanh"),
        ({"in_features": 16}, ModelInvalid, "reads vectors of 16 numbers; it gets 32"),
        ({"module_input_name": "all_layer_embeddings"}, ArchitectureUnknown, "all_layer_embeddings"),
        ({"module_input_name": "token_embeddings"}, ArchitectureUnknown, "reads token_embeddings and writes sentence"),
        (
            {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"},
            ArchitectureUnknown,
            "wrong place",
        ),
    ],
    ids=str,
)
def test_modules_that_can_not_be_applied_are_refused(build, embed, edit_json, changes, error, reason):
    folder, _ = build(Pooling(32), Dense(32, 48))
    edit_json(folder / "2_Dense" / "config.json", **changes)
    with pytest.raises(error, match=reason):
        embed(folder)
