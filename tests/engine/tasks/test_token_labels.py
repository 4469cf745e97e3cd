"""Labelled tokens against transformers' token-classification pipeline: every strategy, two kinds of tokenizers."""

import json

import numpy as np
import pytest
import tokenizers
import transformers
from tokenizers import normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing

from benchmarks.families.case import randomise
from benchmarks.families.folder import edit, write_tokenizer
from engine.errors import BadRequest, InputTooLong
from engine.protocol import ExtractRequest, ModelRef
from engine.tasks.token_labels import label_tokens

STRATEGIES = ["none", "simple", "first", "average", "max"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]
PIECES = ["ab", "##cd", "##ef", "gh", "##ij", "kl", "mn", "##op", "qr", "##s", "t", "##u", ",", ".", "é", "##é"]
TEXTS = [
    "abcdef gh, klmn? mnop.",
    "ghijcd ab ab qrs tu",
    "AB  gh\n\tklé éé",
    "",
    "?",
    "漢字 ab 😀 ghij cd",
    "abcd" * 3 + " " + " ".join(["kl mnop", "tu, qrs."] * 3),
]
LONG = " ".join(["abcd"] * 60)


def write_words(folder):
    """A WordPiece vocabulary, as BERT has it."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES]
    tokenizer = tokenizers.Tokenizer(
        WordPiece({word: place for place, word in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def write_letters(folder):
    """One token a letter, and none that goes on with a word by its mark."""
    write_tokenizer(folder, 100)
    read = json.loads((folder / "tokenizer.json").read_text())
    letters = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop,.é"]
    read["model"]["vocab"] = {letter: place for place, letter in enumerate(letters)}
    read["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Whitespace"},
            {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False},
        ],
    }
    (folder / "tokenizer.json").write_text(json.dumps(read))


@pytest.fixture(params=[write_words, write_letters], ids=["words", "letters"])
def tagger(request, tmp_path):
    """A small random model of names."""
    shape = {
        "vocab_size": 100,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 50,
    }
    model = transformers.BertForTokenClassification(transformers.BertConfig(**shape, num_labels=len(TAGS)))
    randomise(dict(model.named_parameters()), spread=0.1)
    # So that tokens differ in their labels.
    model.bert.embeddings.word_embeddings.weight.data *= 30
    model.classifier.weight.data *= 10
    model.save_pretrained(tmp_path)
    request.param(tmp_path)
    written = {"tokenizer_class": "TokenizersBackend", "model_max_length": 50, "unk_token": "[UNK]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**written, "pad_token": "[PAD]"}))
    numbered = {str(place): tag for place, tag in enumerate(TAGS)}
    edit(tmp_path, id2label=numbered, label2id={tag: place for place, tag in enumerate(TAGS)})
    return ModelRef(id="tagger", source=str(tmp_path))


@pytest.fixture
def extract(opened, run):
    def call(ref, inputs, **fields):
        async def work():
            request = ExtractRequest(ref, inputs, **fields)
            async with opened() as runtime, runtime._running.visit(request) as visit:
                return await label_tokens(visit, request)

        return run(work())

    return call


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_entities_are_the_pipelines(tagger, extract, strategy):
    pipeline = transformers.pipeline("token-classification", tagger.source, device="cpu", aggregation_strategy=strategy)
    inputs = [*TEXTS, LONG]
    reply = extract(tagger, inputs, aggregation=strategy)
    kind = "entity" if strategy == "none" else "entity_group"
    for text, ours, theirs in zip(inputs, reply.entities, [pipeline(text) for text in inputs], strict=True):
        assert [(one.start, one.end, one.label) for one in ours] == [
            (one["start"], one["end"], one[kind]) for one in theirs
        ]
        assert all(text[one.start : one.end] == one.text for one in ours)
        assert np.allclose([one.score for one in ours], [one["score"] for one in theirs], atol=1e-5)
    assert sum(map(len, reply.entities)) > 15
    assert reply.truncated[-1] == 7


def test_a_text_alone_has_the_entities_it_has_in_company(tagger, extract):
    together = extract(tagger, TEXTS).entities
    alone = [extract(tagger, [text]).entities[0] for text in TEXTS]
    for one, other in zip(together, alone, strict=True):
        assert [(e.start, e.end, e.label) for e in one] == [(e.start, e.end, e.label) for e in other]
        assert np.allclose([e.score for e in one], [e.score for e in other], atol=1e-5)


def test_labels_and_a_threshold_choose_among_what_there_is(tagger, extract):
    every = extract(tagger, TEXTS, aggregation="none").entities
    chosen = extract(tagger, TEXTS, aggregation="none", labels=["PER"], threshold=0.5).entities
    wanted = [[e for e in one if e.label in ("B-PER", "I-PER") and e.score >= 0.5] for one in every]
    assert [[e.start for e in one] for one in chosen] == [[e.start for e in one] for one in wanted]
    assert any(wanted)
    with pytest.raises(BadRequest, match="LOC, MISC, PER"):
        extract(tagger, TEXTS, labels=["dragons"])


def test_what_can_not_be_read_is_refused_by_its_place(tagger, extract):
    with pytest.raises(InputTooLong) as caught:
        extract(tagger, ["ab", LONG], truncate=False)
    assert (caught.value.index, caught.value.limit) == (1, 50)
    with pytest.raises(BadRequest, match="Unicode") as refused:
        extract(tagger, ["ab", "\ud800"])
    assert refused.value.index == 1


def test_a_text_far_beyond_the_limit_is_read_as_far_as_it_matters(tagger, extract):
    far = " " * 100_000 + "abcd gh"
    assert extract(tagger, [far]).token_counts == extract(tagger, ["abcd gh"]).token_counts
