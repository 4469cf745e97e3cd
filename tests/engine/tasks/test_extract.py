"""Extraction by labels of the request, on a small random GLiNER, through a node."""

import asyncio
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tokenizers
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from benchmarks.families.cases.gliner import CASES
from engine.catalog import describe
from engine.errors import (
    ArchitectureUnknown,
    BadRequest,
    FolderIncomplete,
    InputTooLong,
    LabelsTooLong,
    TaskUnsupported,
)
from engine.prompts.words import WORD, WordReading, read_words
from engine.protocol import EmbedRequest, ErrorReply, ExtractReply, ExtractRequest, ModelRef

LABELS = ["w11", "w12 w13", "w14-w15"]
TEXTS = [
    "w6 w7-w8, w9 (w10)!",
    "  w6\t\nw7  ",
    "שלום w6 עולם w7",
    "w6 👩‍👩‍👧 w7 🇩🇪 naïve café w8",
    "日本語 w6。w7",
    "w6",
]


@pytest.fixture
def gliner(tmp_path):
    """Writes a small random GLiNER: `gliner("spans", **keys of its config)`."""

    def build(variant="spans", **keys):
        folder = tmp_path / variant
        next(case for case in CASES if case.variant == variant).write(folder)
        file = folder / "gliner_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))
        return ModelRef(id=variant, source=str(folder))

    return build


@pytest.fixture
def extract(opened, run):
    def call(ref, inputs=TEXTS, **fields):
        async def work():
            async with opened() as runtime:
                return await runtime.extract(ExtractRequest(ref, inputs, **{"labels": LABELS, **fields}))

        return run(work())

    return call


def folder_of(ref):
    return Path(ref.source)


def rows(entities):
    return [(one.start, one.end, one.label) for one in entities]


@pytest.mark.parametrize("variant", ["spans", "words"])
@pytest.mark.parametrize("flat", [True, False])
def test_what_an_entity_says_stands_at_its_place_in_characters(gliner, extract, variant, flat):
    reply = extract(gliner(variant), threshold=0.0, flat=flat)
    for text, entities in zip(TEXTS, reply.entities, strict=True):
        assert entities
        assert all(text[one.start : one.end] == one.text != "" for one in entities)
        assert [one.start for one in entities] == sorted(one.start for one in entities)
    assert reply.truncated == []


def test_a_text_in_company_has_the_entities_that_it_has_alone(gliner, extract):
    ref = gliner()
    together = extract(ref, threshold=0.3)
    for place, text in enumerate(TEXTS):
        alone = extract(ref, [text], threshold=0.3)
        assert rows(alone.entities[0]) == rows(together.entities[place])
        assert alone.token_counts == [together.token_counts[place]]


def test_requests_with_other_labels_share_a_batch(gliner, opened, run):
    ref = gliner()
    several = [["w11"], LABELS, ["w12 w13", "w90"]]

    async def work():
        async with opened() as runtime:
            asked = [ExtractRequest(ref, TEXTS, labels=labels, threshold=0.0) for labels in several]
            together = await asyncio.gather(*map(runtime.extract, asked))
            alone = [await runtime.extract(request) for request in asked]
            return together, alone

    for together, alone in zip(*run(work()), strict=True):
        assert list(map(rows, together.entities)) == list(map(rows, alone.entities))


def test_the_prompt_is_what_the_reference_library_makes(gliner):
    folder = folder_of(gliner())
    fast = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    reading = describe(folder).heads[0].settings["reading"]
    own = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    read = read_words(
        own,
        texts=TEXTS,
        labels=LABELS,
        thresholds=np.zeros(3, dtype=np.float32),
        reading=reading,
        limit=500,
        truncate=True,
    )
    for text, encoded in zip(TEXTS, read.encoded, strict=True):
        prompt = [word for label in LABELS for word in ("<<ENT>>", label)] + ["<<SEP>>"]
        expected = fast([*prompt, *WORD.findall(text)], is_split_into_words=True)
        assert encoded.ids.tolist() == expected["input_ids"]
        # The first token of each word, and the tokens of the markers, as `prepare_word_mask` counts words.
        words = expected.word_ids()
        firsts = [words.index(place) for place in range(len(prompt), len(prompt) + len(WORD.findall(text)))]
        assert encoded.marks.words[:, 0].tolist() == firsts
        assert encoded.marks.labels.tolist() == [words.index(place) for place in (0, 2, 4)]


def test_text_that_looks_like_a_marker_is_text(gliner, extract):
    reply = extract(gliner(), ["w6 <<ENT>> w7 <<SEP>> w8"], threshold=0.0, labels=["w11"])
    assert {one.label for one in reply.entities[0]} == {"w11"}


def test_texts_without_words_have_no_entities(gliner, extract):
    reply = extract(gliner(), ["", "  \t\n ", "w6", "\u00a0"], threshold=0.0)
    assert [len(entities) > 0 for entities in reply.entities] == [False, False, True, False]
    assert [count > 0 for count in reply.token_counts] == [False, False, True, False]
    assert extract(gliner(), [" "]).entities == [[]]


@pytest.mark.parametrize("variant", ["spans", "words"])
def test_long_texts_are_read_in_windows_to_their_end(gliner, extract, variant):
    words = [f"w{5 + place % 90}" for place in range(400)]
    reply = extract(gliner(variant), [" ".join(words), "w6 w7"], threshold=0.0, labels=["w11"], flat=False)
    text = " ".join(words)
    assert reply.truncated == []
    assert max(one.end for one in reply.entities[0]) == len(text)
    assert all(text[one.start : one.end] == one.text for one in reply.entities[0])
    assert reply.token_counts[0] > 400


def test_every_span_of_a_long_text_is_in_a_window_whole():
    reading = WordReading(marker="E", separator="S", marked=True, max_words=20, max_width=5)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"E": 0, "S": 1, "a": 2, "U": 3}, unk_token="U"))
    for count in (1, 19, 20, 21, 100, 333):
        read = read_words(
            tokenizer,
            texts=["a " * count],
            labels=["a"],
            thresholds=np.zeros(1, dtype=np.float32),
            reading=reading,
            limit=40,
            truncate=False,
        )
        windows = [(one.marks.first_word, one.marks.first_word + len(one.marks.words)) for one in read.encoded]
        spans = [(first, last) for first in range(count) for last in range(first, min(first + 5, count))]
        assert all(any(begin <= first and last < end for begin, end in windows) for first, last in spans)
        assert max(end - begin for begin, end in windows) <= 20
        assert len(windows) <= 1 + count // 10


def test_many_labels_are_read_in_groups_that_fit(gliner, extract):
    labels = [f"w{number} w{number}" for number in range(5, 95)]
    ref = gliner("BERT, neither projected nor recurrent")
    reply = extract(ref, ["w6 w7", "w8"], labels=labels, threshold=0.0, multi_label=True, flat=False)
    assert {one.label for one in reply.entities[1]} == set(labels)
    few = extract(ref, ["w8"], labels=labels[:3], threshold=0.0, multi_label=True)
    assert len(few.entities[0]) == 3


def test_thresholds_leave_out_what_is_below_them(gliner, extract):
    ref = gliner()
    every = extract(ref, threshold=0.0, multi_label=True, flat=False).entities
    usual = extract(ref, multi_label=True, flat=False).entities
    own = extract(ref, threshold=1.0, thresholds={"w11": 0.0}, multi_label=True, flat=False).entities
    assert sum(map(len, usual)) < sum(map(len, every))
    assert all(one.score > 0.5 for entities in usual for one in entities)
    assert {one.label for entities in own for one in entities} == {"w11"}


def test_a_word_beyond_the_limit_is_cut_and_said(gliner, extract):
    ref = ModelRef(**{**msgspec.structs.asdict(gliner()), "max_tokens": 30})
    text = "w6 " + "-".join(["w7"] * 60) + " w8"
    reply = extract(ref, ["w6", text], threshold=0.0)
    assert reply.truncated == [1]
    assert all(text[one.start : one.end] == one.text for one in reply.entities[1])
    with pytest.raises(InputTooLong) as refused:
        extract(ref, ["w6", text], truncate=False)
    assert (refused.value.index, refused.value.limit) == (1, 30)
    assert extract(ref, ["w6 " * 200], truncate=False).truncated == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"labels": None}, "no labels of its own"),
        ({"labels": []}, "empty"),
        ({"labels": [f"w{number}" for number in range(1000)]}, "500"),
        ({"labels": ["w5", "w6", "w5"]}, "twice"),
        ({"labels": ["w5", " "]}, "empty"),
        ({"labels": ["w5 <<ENT>> w6"]}, "<<ENT>>"),
        ({"labels": ["w5<<SEP>>"]}, "<<SEP>>"),
        ({"labels": ["\ud800"]}, "surrogate"),
        ({"threshold": 1.5}, "from 0 to 1"),
        ({"threshold": float("nan")}, "from 0 to 1"),
        ({"thresholds": {"w99": 0.5}}, "w99"),
        ({"inputs": []}, "nothing"),
    ],
)
def test_what_can_not_be_asked_is_refused(gliner, extract, fields, said):
    with pytest.raises(BadRequest, match=said):
        extract(gliner(), **fields)


def test_a_text_that_is_no_unicode_is_refused_by_its_place(gliner, extract):
    with pytest.raises(BadRequest) as refused:
        extract(gliner(), ["w6", "\ud800"])
    assert refused.value.index == 1


def test_a_label_that_leaves_no_room_is_refused_with_the_limit(gliner, extract):
    ref = ModelRef(**{**msgspec.structs.asdict(gliner()), "max_tokens": 30})
    with pytest.raises(LabelsTooLong) as refused:
        extract(ref, labels=["w5 " * 30])
    assert refused.value.actual == 31
    assert 0 < refused.value.limit < 30


def test_what_the_model_can_not_do_names_what_it_can(gliner, opened, run):
    async def work(ref):
        async with opened() as runtime:
            await runtime.embed(EmbedRequest(ref, ["w6"]))

    with pytest.raises(TaskUnsupported, match="gives spans"):
        run(work(gliner()))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"labels_encoder": "bert"}, "bi-encoder"),
        ({"labels_decoder": "gpt2"}, "decoder of labels"),
        ({"relations_layer": "dot"}, "relations"),
        ({"span_mode": "conv_share"}, "conv_share"),
        ({"subtoken_pooling": "sum"}, "sum"),
        ({"words_splitter_type": "jieba"}, "jieba"),
        ({"fuse_layers": True}, "fused layers"),
        ({"represent_spans": True}, "spans represented"),
        ({"encoder_config": None}, "encoder_config"),
        ({"encoder_config": {"model_type": "t5x"}}, "t5x"),
    ],
)
def test_what_is_not_written_here_is_refused_by_name(gliner, keys, said):
    with pytest.raises(ArchitectureUnknown, match=said):
        describe(folder_of(gliner(**keys)))


def test_a_tokenizer_without_markers_is_refused(gliner):
    with pytest.raises(FolderIncomplete, match="<<X>>"):
        describe(folder_of(gliner(ent_token="<<X>>")))


def test_a_model_is_described_by_its_own_config(gliner):
    spec = describe(folder_of(gliner()))
    assert (spec.architecture, spec.family, spec.outputs) == ("GLiNER", "deberta_v2", ("spans",))
    assert spec.max_tokens == 2048  # DeBERTa knows distances only
    assert describe(folder_of(gliner("BERT, neither projected nor recurrent"))).max_tokens == 300


def test_weights_may_be_pickled(gliner, extract):
    ref = gliner()
    folder = folder_of(ref)
    expected = extract(ref, threshold=0.3)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert extract(ref, threshold=0.3).entities == expected.entities


def test_the_wire(gliner, served, run):
    ref = gliner()

    async def work():
        async with served() as (client, _):
            body = msgspec.msgpack.encode(ExtractRequest(ref, TEXTS, labels=LABELS, threshold=0.3))
            answered = await client.post("/extract", content=body)
            refused = await client.post(
                "/extract", content=msgspec.msgpack.encode(ExtractRequest(ref, TEXTS, labels=[]))
            )
            return answered, refused

    answered, refused = run(work())
    reply = msgspec.msgpack.decode(answered.content, type=ExtractReply)
    assert len(reply.entities) == len(TEXTS)
    assert refused.status_code == 400
    assert msgspec.msgpack.decode(refused.content, type=ErrorReply).code == "bad_request"
