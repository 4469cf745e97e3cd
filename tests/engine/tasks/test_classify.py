"""Classification over the node's wire types, against transformers' pipelines on the same folder."""

import json

import msgspec
import numpy as np
import pytest
import transformers

from benchmarks.families.case import randomise
from benchmarks.families.folder import edit, write_tokenizer
from engine.errors import BadRequest, TaskUnsupported
from engine.protocol import ClassifyReply, ClassifyRequest, ErrorReply, ModelRef
from engine.scheduler import Scheduler

TEXTS = ["w6 w7 w8", "w90", "", "w33 w34 w35 w36 w37 w38", "w6 w7 w8 w9"]
LONG = " ".join(f"w{5 + place % 90}" for place in range(60))
LABELS = ["w12", "w13 w14", "w80"]
NLI = {"id2label": {"0": "contradiction", "1": "neutral", "2": "ENTAILMENT"}}


@pytest.fixture
def classifier(tmp_path):
    """Writes a small random classifier: `classifier("name", labels=3, **keys of its config)`."""

    def build(name="classifier", *, labels=3, **config):
        shape = {
            "vocab_size": 100,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 40,
        }
        model = transformers.BertForSequenceClassification(transformers.BertConfig(**shape, num_labels=labels))
        randomise(dict(model.named_parameters()))
        folder = tmp_path / name
        model.save_pretrained(folder)
        write_tokenizer(folder, 100)
        written = {
            "tokenizer_class": "TokenizersBackend",
            "model_max_length": 40,
            "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(written))
        named = {"label2id": {label: int(place) for place, label in config.get("id2label", {}).items()} or None}
        edit(folder, **named, **config)
        return ModelRef(id=name, source=str(folder))

    return build


@pytest.fixture
def classify(opened, run):
    def call(ref, inputs=TEXTS, **fields):
        async def work():
            async with opened() as runtime:
                return await runtime.classify(ClassifyRequest(ref, inputs, **fields))

        return run(work())

    return call


def found(reply):
    return [{label.label: label.score for label in labels} for labels in reply.labels]


def expected(results):
    return [{result["label"]: result["score"] for result in labels} for labels in results]


def close(ours, theirs):
    assert [list(one) for one in ours] == [list(other) for other in theirs]
    both = zip(ours, theirs, strict=True)
    return max(abs(one[label] - other[label]) for one, other in both for label in one) <= 1e-5


KINDS = {
    "softmax": {"labels": 4},
    "named": {"labels": 3, **NLI},
    "several may be right": {"labels": 3, "problem_type": "multi_label_classification"},
    "one label": {"labels": 1},
    "regression": {"labels": 1, "problem_type": "regression"},
    "one of two, said": {"labels": 2, "problem_type": "single_label_classification"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top_k", [None, 2])
def test_own_labels_are_scored_as_the_pipeline_does(classifier, classify, kind, top_k):
    ref = classifier(**KINDS[kind])
    pipeline = transformers.pipeline("text-classification", ref.source, device="cpu")
    inputs = [*TEXTS, LONG]
    reply = classify(ref, inputs, top_k=top_k)
    assert close(found(reply), expected(pipeline(inputs, top_k=top_k, truncation=True)))
    assert (reply.truncated, reply.token_counts[:3]) == ([5], [5, 3, 2])


def test_raw_scores_are_logits_and_pairs_are_read_as_one(classifier, classify):
    ref = classifier()
    pipeline = transformers.pipeline("text-classification", ref.source, device="cpu")
    pair = pipeline([{"text": "w6", "text_pair": "w7 w8"}], top_k=None, function_to_apply="none")
    assert close(found(classify(ref, [("w6", "w7 w8")], raw_scores=True)), expected(pair))


def test_a_threshold_leaves_labels_out(classifier, classify):
    ref = classifier()
    scores = found(classify(ref, ["w6"]))[0]
    least = sorted(scores.values())[1]
    assert set(found(classify(ref, ["w6"], threshold=least))[0]) == {
        label for label, score in scores.items() if score >= least
    }


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("own", [NLI, {"id2label": {"0": "entailment", "1": "not_entailment"}, "labels": 2}])
def test_labels_of_the_request_are_scored_as_the_zero_shot_pipeline_does(classifier, classify, multi_label, own):
    ref = classifier(**own)
    pipeline = transformers.pipeline("zero-shot-classification", ref.source, device="cpu")
    inputs, template = [*(text for text in TEXTS if text), LONG], "w20 {} w21"
    theirs = pipeline(inputs, LABELS, multi_label=multi_label, hypothesis_template=template)
    reply = classify(ref, inputs, labels=LABELS, multi_label=multi_label, hypothesis_template=template)
    assert close(found(reply), [dict(zip(one["labels"], one["scores"], strict=True)) for one in theirs])
    assert reply.truncated == [4]
    alone = classify(ref, inputs[:1], labels=LABELS[:1], hypothesis_template=template)
    theirs = pipeline(inputs[:1], LABELS[:1], hypothesis_template=template)
    assert close(found(alone), [{LABELS[0]: theirs[0]["scores"][0]}])


def test_all_texts_with_all_labels_are_queued_together(classifier, classify, monkeypatch):
    queued = []
    run = Scheduler.run
    monkeypatch.setattr(
        Scheduler,
        "run",
        lambda self, model, encoded, **k: queued.append(len(encoded)) or run(self, model, encoded, **k),
    )
    classify(classifier(**NLI), labels=LABELS)
    assert queued == [len(TEXTS) * len(LABELS)]


def test_braces_in_a_template_are_no_program(classifier, classify):
    ref = classifier(**NLI)
    with pytest.raises(BadRequest, match="template"):
        classify(ref, ["w6"], labels=LABELS, hypothesis_template="{0.__class__}")
    assert classify(ref, ["w6"], labels=["{0.__class__}"]).labels[0][0].label == "{0.__class__}"


BAD = {
    "no labels": ({"labels": []}, "empty"),
    "1,000 labels": ({"labels": [f"w{place}" for place in range(1000)]}, "at most 500"),
    "an empty label": ({"labels": ["w6", " "]}, "empty"),
    "a label twice": ({"labels": ["w6", "w6"]}, "twice"),
    "too many pairs": ({"labels": [f"w{n}" for n in range(500)], "inputs": ["w6"] * 40}, "16384"),
    "no inputs": ({"inputs": []}, "nothing to classify"),
    "no label to choose": ({"top_k": 0}, "top_k"),
    "a pair with labels": ({"inputs": [("w6", "w7")], "labels": LABELS}, "not a pair"),
    "no blank": ({"labels": LABELS, "hypothesis_template": "w6"}, "template"),
    "a label longer than the model": ({"labels": [LONG], "inputs": ["w6"]}, "longer than the model takes"),
    "no Unicode": ({"inputs": ["\ud800"]}, "Unicode"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_for_what_it_is(classifier, classify, what):
    fields, said = BAD[what]
    with pytest.raises(BadRequest, match=said):
        classify(classifier(**NLI), **{"inputs": ["w6"], **fields})


def test_tasks_that_a_model_can_not_do_name_those_that_it_can(classifier, classify, build_checkpoint):
    with pytest.raises(TaskUnsupported, match="LABEL_0, LABEL_1"):
        classify(classifier(labels=2), labels=LABELS)
    with pytest.raises(TaskUnsupported, match="it can embed, rerank"):
        classify(build_checkpoint().ref())


def test_the_wire_says_what_the_node_does(classifier, served, run):
    ref = classifier()

    async def work():
        async with served() as (client, _):
            request = ClassifyRequest(ref, ["w6", ("w7", "w8")], top_k=2)
            answer = await client.post("/classify", content=msgspec.msgpack.encode(request))
            refused = await client.post(
                "/classify", content=msgspec.msgpack.encode(ClassifyRequest(ref, ["w6"], labels=["w7"]))
            )
            return answer, refused

    answer, refused = run(work())
    reply = msgspec.msgpack.decode(answer.content, type=ClassifyReply)
    assert [len(labels) for labels in reply.labels] == [2, 2]
    assert reply.token_counts == [3, 5]
    error = msgspec.msgpack.decode(refused.content, type=ErrorReply)
    assert (refused.status_code, error.code) == (400, "task_unsupported")


def test_500_labels_are_answered_and_scores_sum_to_one(classifier, classify):
    reply = classify(classifier(**NLI), ["w6 w7"], labels=[f"w{place}" for place in range(500)])
    assert np.isclose(sum(found(reply)[0].values()), 1, atol=1e-4)
    assert len(found(reply)[0]) == 500
