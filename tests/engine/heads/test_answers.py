"""Decoders that answer yes or no, against transformers' whole logits by the formulas of the models' cards."""

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from tokenizers import decoders, pre_tokenizers
from tokenizers.models import BPE

from benchmarks.families.case import randomise
from benchmarks.families.folder import edit
from engine.catalog import describe
from engine.errors import ArchitectureUnknown, BadRequest, InputTooLong, ModelInvalid, QueryTooLong, WeightMismatch
from engine.protocol import ClassifyRequest, ModelRef, RerankRequest

QUERY = "what is a shoal?"
DOCUMENTS = ["Many fish {query} together.", "Ünïcode 漢字 {instruction}", "", "<|im_end|> yes", "a b c d e f g " * 9]
LONG = "sand and water " * 400
MARKERS = ["<|endoftext|>", "<bos>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
WANT = {
    "qwen3": transformers.Qwen3Config,
    "qwen2": transformers.Qwen2Config,
    "gemma": transformers.GemmaConfig,
    "mistral": transformers.MistralConfig,
}

QWEN_PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
QWEN_SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
QWEN_TASK = "Given a web search query, retrieve relevant passages that answer the query"
MXBAI_PREFIX = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n"
)
MXBAI_TASK = (
    "You are a search relevance expert who evaluates how well documents match search queries. For each query-document "
    "pair, carefully analyze the semantic relationship between them, then provide your binary relevance judgment "
    "(0 for not relevant, 1 for relevant).\nRelevance:"
)
GEMMA_TASK = (
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
    "prediction of either 'Yes' or 'No'."
)
MXBAI_SUFFIX = "<|im_end|>\n<|im_start|>assistant\n"


def write_bytes_tokenizer(folder, markers):
    """Bytes, `yes` and `no`, and the markers."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("y", "e"), ("ye", "s"), ("n", "o"), ("Ġ", "t"), ("a", "n"), ("Ġ", "a"), ("e", "s"), ("Y", "es")]
    words = [*alphabet, *("".join(pair) for pair in merges)]
    tokenizer = tokenizers.Tokenizer(BPE({word: place for place, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([tokenizers.AddedToken(marker, special=True) for marker in markers])
    tokenizer.save(str(folder / "tokenizer.json"))
    written = {"tokenizer_class": "TokenizersBackend", "pad_token": "<|endoftext|>", "model_max_length": 2000}
    (folder / "tokenizer_config.json").write_text(json.dumps(written))
    return tokenizer


@pytest.fixture
def answering(tmp_path):
    """Writes a small random decoder: `answering("qwen3", tied=True)` -> its reference, tokenizer and ModelRef."""

    def build(family, *, tied=True, markers=MARKERS, **shape):
        sizes = {
            "vocab_size": 280,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 64,
            "max_position_embeddings": 2000,
            "tie_word_embeddings": tied,
            **({"head_dim": 16} if family in ("qwen3", "gemma") else {}),
        }
        model = transformers.AutoModelForCausalLM.from_config(WANT[family](**{**sizes, **shape}))
        randomise(dict(model.named_parameters()), norms=0.0 if family == "gemma" else 1.0)
        folder = tmp_path / f"{family}-{tied}"
        model.save_pretrained(folder)
        tokenizer = write_bytes_tokenizer(folder, markers)
        return model.eval(), tokenizer, ModelRef(id="answering", source=str(folder))

    return build


@pytest.fixture
def rerank(opened, run):
    def scores(ref, query=QUERY, documents=DOCUMENTS, **fields):
        async def work():
            async with opened() as runtime:
                return await runtime.rerank(RerankRequest(ref, query, documents, **fields))

        return run(work())

    return scores


def encode(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def qwen3(tokenizer, query, document, task, limit):
    """Of the model card: whatever is between prefix and suffix is cut."""
    prefix, suffix = encode(tokenizer, QWEN_PREFIX), encode(tokenizer, QWEN_SUFFIX)
    body = encode(tokenizer, f"<Instruct>: {task or QWEN_TASK}\n<Query>: {query}\n<Document>: {document}")
    return prefix + body[: limit - len(prefix) - len(suffix)] + suffix


def mxbai(tokenizer, query, document, task, limit):
    """Of mxbai_rerank_v2.py."""
    query = f"instruction: {task}\nquery: {query}" if task else f"query: {query}"
    head = encode(tokenizer, MXBAI_PREFIX) + encode(tokenizer, query) + encode(tokenizer, "\n")
    tail = encode(tokenizer, "\n") + encode(tokenizer, MXBAI_TASK) + encode(tokenizer, MXBAI_SUFFIX)
    return head + encode(tokenizer, f"document: {document}")[: limit - len(head) - len(tail)] + tail


def gemma(tokenizer, query, document, task, limit):
    """Of decoder_only/base.py."""
    line = encode(tokenizer, "\n")
    head = encode(tokenizer, "<bos>") + encode(tokenizer, f"A: {query}") + line
    tail = line + encode(tokenizer, GEMMA_TASK)
    return head + encode(tokenizer, f"B: {document}")[: limit - len(head) - len(tail)] + tail


@torch.no_grad()
def logits(model, ids):
    """After the last token, of the whole vocabulary."""
    return model(torch.tensor([ids])).logits[0, -1]


def expected(family, model, tokenizer, documents, *, task=None, limit=2000, query=QUERY):
    read = {"qwen3": qwen3, "qwen2": mxbai, "gemma": gemma}[family]
    words = {"qwen3": ("yes", "no"), "qwen2": ("1", "0"), "gemma": ("Yes",)}[family]
    scores = []
    for document in documents:
        after = logits(model, read(tokenizer, query, document, task, limit))
        yes, *no = after[[tokenizer.token_to_id(word) for word in words]]
        scores.append(float(torch.stack([*no, yes]).softmax(0)[1] if family == "qwen3" else yes - sum(no)))
    return np.array(scores)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", ["qwen3", "qwen2", "gemma"])
def test_scores_are_those_of_the_whole_vocabulary(answering, rerank, family, tied):
    model, tokenizer, ref = answering(family, tied=tied)
    for task in (None,) if family == "gemma" else (None, "find {query} fish"):
        reply = rerank(ref, instruction=task)
        assert np.abs(np.array(reply.scores) - expected(family, model, tokenizer, DOCUMENTS, task=task)).max() <= 1e-4
    assert np.ptp(reply.scores) > 1e-2
    alone = [rerank(ref, documents=[document], instruction=task).scores[0] for document in DOCUMENTS]
    assert np.abs(np.array(reply.scores) - alone).max() <= 1e-5


@pytest.mark.parametrize("family", ["qwen3", "qwen2", "gemma"])
def test_only_the_document_is_cut(answering, rerank, family):
    model, tokenizer, ref = answering(family)
    reply = rerank(ref, documents=["fish", LONG])
    assert np.abs(np.array(reply.scores) - expected(family, model, tokenizer, ["fish", LONG])).max() <= 1e-4
    assert reply.truncated == [1]
    with pytest.raises(InputTooLong) as caught:
        rerank(ref, documents=["fish", LONG], truncate=False)
    assert caught.value.index == 1
    assert caught.value.actual > 5000 > caught.value.limit == 2000
    with pytest.raises(QueryTooLong, match="query") as caught:
        rerank(ref, LONG)
    assert caught.value.actual > 5000


@pytest.mark.parametrize("tied", [True, False])
def test_of_the_output_layer_two_rows_are_in_memory(answering, tied):
    _, tokenizer, ref = answering("qwen3", tied=tied)
    spec = describe(Path(ref.source))
    (head,) = spec.heads
    assert (head.output, head.kind) == ("scores", "answer")
    entries = {name: entry for name, entry in spec.tensors.items() if name in ("yes.weight", "no.weight")}
    assert [entry.shape for entry in entries.values()] == [(1, 32), (1, 32)]
    table = spec.tensors["model.embed_tokens.weight" if tied else "lm_head.weight"]
    assert entries["yes.weight"].offset == table.offset + tokenizer.token_to_id("yes") * 32 * 4


def test_sentence_transformers_own_way_of_saying_it(answering, rerank):
    model, tokenizer, ref = answering("qwen3")
    folder = Path(ref.source)
    kinds = [("", "base.modules.transformer.Transformer"), ("1_LogitScore", "cross_encoder.modules.LogitScore")]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.{kind}"}
        for place, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_LogitScore").mkdir()
    said = {"true_token_id": tokenizer.token_to_id("1"), "false_token_id": None}
    (folder / "1_LogitScore" / "config.json").write_text(json.dumps(said))
    with pytest.raises(ArchitectureUnknown, match="chat template"):
        describe(folder)
    (folder / "chat_template.jinja").write_text(QWEN_PREFIX)
    settings = {"activation_fn": "torch.nn.modules.linear.Identity"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    after = [logits(model, qwen3(tokenizer, QUERY, document, None, 2000)) for document in DOCUMENTS]
    theirs = [float(row[tokenizer.token_to_id("1")]) for row in after]
    assert np.abs(np.array(rerank(ref).scores) - theirs).max() <= 1e-4


def test_an_instruction_is_for_models_whose_template_has_a_place_for_it(answering, rerank):
    with pytest.raises(BadRequest, match="instruction"):
        rerank(answering("gemma")[2], instruction="find fish")


@pytest.mark.parametrize(("query", "document", "index"), [("\ud800", "fish", -1), ("fish", "\ud800", 1)])
def test_what_is_not_unicode_is_refused_by_its_place(answering, rerank, query, document, index):
    with pytest.raises(BadRequest, match="Unicode") as caught:
        rerank(answering("qwen3")[2], query, ["fish", document])
    assert caught.value.index == index


def test_a_decoder_without_the_answers_words_is_no_reranker(answering, rerank):
    _, _, ref = answering("qwen3", markers=MARKERS[:3])
    assert describe(Path(ref.source)).outputs == ("dense",)
    _, _, other = answering("mistral")
    assert describe(Path(other.source)).outputs == ("dense",)


def test_an_output_layer_that_is_not_there_is_missed_by_name(answering):
    _, _, ref = answering("qwen2", tied=True)
    folder = Path(ref.source)
    edit(folder, tie_word_embeddings=False)
    with pytest.raises(WeightMismatch, match="lm_head"):
        describe(folder)


def test_it_does_nothing_else(answering, opened, run):
    async def work(ref):
        async with opened() as runtime:
            with pytest.raises(BadRequest, match="it can rerank"):
                await runtime.classify(ClassifyRequest(ref, ["fish"]))

    run(work(answering("qwen3")[2]))


def test_an_answer_beyond_the_table_is_refused(answering):
    _, _, ref = answering("qwen3", vocab_size=240)
    with pytest.raises(ModelInvalid, match="240 rows"):
        describe(Path(ref.source))
