"""Rerank by pairs over the node's wire types, against sentence-transformers' CrossEncoder on the same folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import transformers
from sentence_transformers import CrossEncoder

from benchmarks.families.case import randomise
from benchmarks.families.folder import edit, write_tokenizer
from engine.catalog import describe
from engine.errors import ArchitectureUnknown, BadRequest, InputTooLong, QueryTooLong, TaskUnsupported
from engine.protocol import ClassifyRequest, EmbedRequest, ModelRef, RerankRequest

QUERY = "w6 w7 w8"
DOCUMENTS = ["w9 w10", "w20", "w11 w12 w13 w14 w15 w16 w17", "", "w7 w8 w6 w90 w91 w9 w10 w33 w34 w35 w36"]
LONG = " ".join(f"w{5 + place % 90}" for place in range(60))


@pytest.fixture
def cross_encoder(tmp_path):
    """Writes a small random cross-encoder: `cross_encoder(labels=1, config={…}, **shape)`."""

    def build(name="cross", *, labels=1, config=None, typed=True, **shape):
        sizes = {
            "vocab_size": 100,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 40,
        }
        model = transformers.BertForSequenceClassification(
            transformers.BertConfig(**{**sizes, **shape}, num_labels=labels)
        )
        randomise(dict(model.named_parameters()))
        folder = tmp_path / name
        model.save_pretrained(folder)
        write_tokenizer(folder, 100)
        specials = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        names = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]} if typed else {}
        written = {"tokenizer_class": "TokenizersBackend", "model_max_length": 40, **specials, **names}
        (folder / "tokenizer_config.json").write_text(json.dumps(written))
        edit(folder, **(config or {}))
        return ModelRef(id=name, source=str(folder))

    return build


@pytest.fixture
def rerank(opened, run):
    def scores(ref, query=QUERY, documents=DOCUMENTS, **fields):
        async def work():
            async with opened() as runtime:
                return await runtime.rerank(RerankRequest(ref, query, documents, **fields))

        return run(work())

    return scores


ACTIVATIONS = {
    "of nothing said": {},
    "identity, as version 4 writes it": {
        "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.0.1"}
    },
    "identity, as before": {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    "sigmoid, as before": {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"},
    "tanh": {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"}},
}


@pytest.mark.parametrize("said", ACTIVATIONS)
def test_scores_are_those_of_the_reference_cut_pairs_included(cross_encoder, rerank, said):
    ref = cross_encoder(config=ACTIVATIONS[said])
    documents = [*DOCUMENTS, LONG]
    reply = rerank(ref, documents=documents)
    reference = CrossEncoder(ref.source, device="cpu").predict([(QUERY, document) for document in documents])
    assert np.abs(np.array(reply.scores) - reference).max() <= 1e-5
    assert reply.truncated == [5]
    assert np.ptp(reply.scores) > 1e-3


def test_of_two_long_texts_the_longer_is_cut(cross_encoder, rerank):
    ref = cross_encoder()
    query = " ".join(f"w{place}" for place in range(40, 65))
    reply = rerank(ref, query, [LONG, LONG[::-1]])
    reference = CrossEncoder(ref.source, device="cpu").predict([(query, LONG), (query, LONG[::-1])])
    assert np.abs(np.array(reply.scores) - reference).max() <= 1e-5


def test_a_pair_alone_scores_as_in_company(cross_encoder, rerank):
    ref = cross_encoder(config=ACTIVATIONS["identity, as before"])
    together = rerank(ref).scores
    alone = [rerank(ref, documents=[document]).scores[0] for document in DOCUMENTS]
    assert np.abs(np.array(together) - alone).max() <= 1e-5


def test_types_go_where_the_reference_sends_them(cross_encoder, rerank):
    ref = cross_encoder(typed=False)
    reference = CrossEncoder(ref.source, device="cpu").predict([(QUERY, document) for document in DOCUMENTS])
    assert np.abs(np.array(rerank(ref).scores) - reference).max() <= 1e-5
    assert np.abs(np.array(rerank(cross_encoder("typed")).scores) - reference).max() > 1e-3


def test_types_tell_the_query_from_the_document(cross_encoder, rerank):
    ref = cross_encoder(config=ACTIVATIONS["identity, as before"])
    assert abs(rerank(ref, "w6", ["w7"]).scores[0] - rerank(ref, "w7", ["w6"]).scores[0]) > 1e-3


@pytest.mark.parametrize("words", [36, 37, 38, 5000])
def test_a_query_that_leaves_no_room_is_refused_with_its_length(cross_encoder, rerank, words):
    with pytest.raises(QueryTooLong, match="query") as caught:
        rerank(cross_encoder(), " ".join(["w9"] * 37) if words < 37 else " ".join(["w9"] * words))
    assert (caught.value.limit, caught.value.actual) == (40, max(words, 37) + 3)
    assert caught.value.index == -1


@pytest.mark.parametrize(("query", "document", "index"), [("\ud800", "w6", -1), ("w6", "\ud800", 1)])
def test_what_is_not_unicode_is_refused_by_its_place(cross_encoder, rerank, query, document, index):
    with pytest.raises(BadRequest, match="Unicode") as caught:
        rerank(cross_encoder(), query, ["w7", document])
    assert caught.value.index == index


def test_a_document_that_may_not_be_cut_is_refused_by_its_place(cross_encoder, rerank):
    with pytest.raises(InputTooLong) as caught:
        rerank(cross_encoder(), documents=["w9", LONG], truncate=False)
    assert (caught.value.index, caught.value.limit, caught.value.actual) == (1, 40, 66)


def test_what_a_model_can_not_do_is_refused_naming_what_it_can(cross_encoder, opened, run):
    ref, several = cross_encoder(), cross_encoder("several", labels=3)

    async def work(call):
        async with opened() as runtime:
            with pytest.raises(TaskUnsupported) as caught:
                await call(runtime)
            return str(caught.value)

    assert "it can classify" in run(work(lambda runtime: runtime.rerank(RerankRequest(several, "w6", ["w7"]))))
    assert "scores" in run(work(lambda runtime: runtime.embed(EmbedRequest(ref, ["w6"]))))
    labels = ClassifyRequest(several, ["w6"], labels=["w7"])
    assert "LABEL_0" in run(work(lambda runtime: runtime.classify(labels)))


def test_an_instruction_is_for_models_that_read_it(cross_encoder, rerank):
    with pytest.raises(BadRequest, match="instruction"):
        rerank(cross_encoder(), instruction="w8")


def test_an_activation_that_is_not_known_is_refused_by_name(cross_encoder):
    ref = cross_encoder(config={"sentence_transformers": {"activation_fn": "my.Own"}})
    with pytest.raises(ArchitectureUnknown, match=r"my\.Own"):
        describe(Path(ref.source))
