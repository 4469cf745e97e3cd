"""Classification by labels of the request, on a small random GLiClass, against its library's own pipeline."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from gliclass import GLiClassModel, ZeroShotClassificationPipeline
from transformers import PreTrainedTokenizerFast

from benchmarks.families.cases.gliclass import CASES
from engine.catalog import describe
from engine.errors import ArchitectureUnknown, BadRequest, InputTooLong, LabelsTooLong
from engine.prompts.labels import LabelReading, read_labelled
from engine.protocol import ClassifyRequest, ModelRef

LABELS = ["w11", "w12 w13", "w14-w15", "w90"]
TEXTS = ["w6 w7-w8, w9", "", "   ", "שלום w6 👩‍👩‍👧", "w6 " * 30]


@pytest.fixture
def gliclass(tmp_path):
    """Writes a small random GLiClass: `gliclass("weighted-dot", **keys of its config)`."""

    def build(variant="weighted-dot", **keys):
        folder = tmp_path / variant
        next(case for case in CASES if case.variant == variant).write(folder)
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))
        return ModelRef(id=variant, source=str(folder))

    return build


@pytest.fixture
def classify(opened, run):
    def call(ref, inputs=TEXTS, **fields):
        async def work():
            async with opened() as runtime:
                return await runtime.classify(ClassifyRequest(ref, inputs, **{"labels": LABELS, **fields}))

        return run(work())

    return call


def pipeline(ref, kind):
    logging.getLogger("transformers").setLevel(logging.ERROR)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(Path(ref.source) / "tokenizer.json"), pad_token="[PAD]", unk_token="[UNK]"
    )
    model = GLiClassModel.from_pretrained(ref.source)
    return ZeroShotClassificationPipeline(
        model, tokenizer, classification_type=kind, device="cpu", progress_bar=False, max_length=200
    )


@pytest.mark.parametrize("variant", ["weighted-dot", "mlp, text first", "means of labels", "text alone"])
def test_scores_are_the_pipelines(gliclass, classify, variant):
    ref = gliclass(variant)
    several = pipeline(ref, "multi-label")
    for text, labels in zip(TEXTS, classify(ref, multi_label=True).labels, strict=True):
        expected = {one["label"]: one["score"] for one in several([text], LABELS, threshold=0.0)[0]}
        assert {one.label: one.score for one in labels} == pytest.approx(expected, abs=1e-5)
    for text, labels in zip(TEXTS, classify(ref).labels, strict=True):
        [best] = several([text], LABELS, classification_type="single-label")[0]
        assert (labels[0].label, labels[0].score) == (best["label"], pytest.approx(best["score"], abs=1e-5))
        assert sum(one.score for one in labels) == pytest.approx(1.0, abs=1e-5)


def test_a_text_alone_scores_as_it_does_in_company(gliclass, classify):
    ref = gliclass()
    together = classify(ref, raw_scores=True)
    for place, text in enumerate(TEXTS):
        alone = classify(ref, [text], raw_scores=True)
        expected = {one.label: one.score for one in together.labels[place]}
        assert {one.label: one.score for one in alone.labels[0]} == pytest.approx(expected, abs=1e-5)
        assert alone.token_counts == [together.token_counts[place]]


def test_one_label_is_right_or_wrong_by_itself(gliclass, classify):
    [labels] = classify(gliclass(), ["w6"], labels=["w11"]).labels
    assert 0 < labels[0].score < 1


@pytest.mark.parametrize("variant", ["weighted-dot", "mlp, text first"])
def test_only_the_text_is_cut(gliclass, classify, variant):
    ref = ModelRef(id="short", source=gliclass(variant).source, max_tokens=40)
    long = " ".join(f"w{5 + place % 90}" for place in range(5000))
    reply = classify(ref, ["w6", long], raw_scores=True)
    assert reply.truncated == [1]
    assert reply.token_counts[1] == 40
    assert {one.label for one in reply.labels[1]} == set(LABELS)
    # Nothing but the beginning that is left counts.
    frame = classify(ref, ["w6"], raw_scores=True).token_counts[0] - 1
    cut = " ".join(long.split()[: 40 - frame])
    kept = {one.label: one.score for one in classify(ref, [cut], raw_scores=True).labels[0]}
    assert {one.label: one.score for one in reply.labels[1]} == pytest.approx(kept, abs=1e-5)
    with pytest.raises(InputTooLong) as refused:
        classify(ref, ["w6", long], truncate=False)
    assert refused.value.index == 1


def test_a_text_may_hold_markers(gliclass):
    folder = Path(gliclass().source)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    for first in (True, False):
        [encoded] = read_labelled(
            tokenizer,
            texts=["w6 <<LABEL>> w7 <<SEP>> w8"],
            labels=LABELS,
            reading=LabelReading(prompt_first=first),
            limit=100,
            truncate=True,
        ).encoded
        marker, separator = (tokenizer.token_to_id(token) for token in ("<<LABEL>>", "<<SEP>>"))
        places = np.flatnonzero(encoded.ids == marker)
        assert encoded.marks.labels.tolist() == (places[:4] if first else places[1:]).tolist()
        assert encoded.marks.separator == np.flatnonzero(encoded.ids == separator)[0 if first else 1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"labels": None}, "no labels of its own"),
        ({"labels": []}, "empty"),
        ({"labels": [f"w{number}" for number in range(1000)]}, "500"),
        ({"labels": ["w5", "w5"]}, "twice"),
        ({"labels": ["w5 <<LABEL>> w6"]}, "<<LABEL>>"),
        ({"inputs": [("w5", "w6")]}, "pair"),
        ({"hypothesis_template": "It is {}."}, "template"),
    ],
)
def test_what_can_not_be_asked_is_refused(gliclass, classify, fields, said):
    with pytest.raises(BadRequest, match=said):
        classify(gliclass(), **fields)


def test_labels_that_leave_no_room_are_refused_with_the_limit(gliclass, classify):
    ref = ModelRef(id="short", source=gliclass().source, max_tokens=20)
    with pytest.raises(LabelsTooLong) as refused:
        classify(ref, ["w6 w7"], labels=[f"w{number}" for number in range(5, 25)])
    assert (refused.value.limit, refused.value.actual) == (20, 43)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"architecture_type": "bi-encoder"}, "bi-encoder"),
        ({"architecture_type": "decoder-kv"}, "decoder-kv"),
        ({"scorer_type": "hopfield"}, "hopfield"),
        ({"scorer_type": "cross-attn"}, "cross-attn"),
        ({"use_segment_embeddings": True}, "use_segment_embeddings"),
        ({"use_calibrator": True}, "use_calibrator"),
        ({"squeeze_layers": True}, "squeeze_layers"),
        ({"encoder_layer_id": 1}, "encoder_layer_id"),
        ({"pooling_strategy": "pass"}, "pass"),
    ],
)
def test_what_is_not_written_here_is_refused_by_name(gliclass, keys, said):
    with pytest.raises(ArchitectureUnknown, match=said):
        describe(Path(gliclass(**keys).source))
