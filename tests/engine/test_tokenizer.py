import asyncio
import threading

import pytest

from engine.errors import BadRequest, Draining, InputTooLong
from engine.tokenizer import Tokenizer


@pytest.fixture
def tokenizer(build_checkpoint):
    return Tokenizer(build_checkpoint().folder / "tokenizer.json", lowercase=False, vocabulary=100)


@pytest.fixture
def encode(executor, run):
    def encode_with(tokenizer, texts, *, limit=10, truncate=True):
        return run(tokenizer.encode(texts, limit=limit, truncate=truncate, executor=executor))

    return encode_with


def ids(tokenized):
    return [sequence.ids.tolist() for sequence in tokenized.encoded]


def test_special_tokens_are_there_and_padding_is_not(tokenizer, encode):
    assert ids(encode(tokenizer, ["w0 w1", "", "w5"])) == [[2, 5, 6, 3], [2, 3], [2, 10, 3]]


def test_a_cut_keeps_the_closing_token_and_is_reported(tokenizer, encode):
    tokenized = encode(tokenizer, ["w1", "w1 w2 w3 w4", "w1 w2"], limit=4)
    assert ids(tokenized) == [[2, 6, 3], [2, 6, 7, 3], [2, 6, 7, 3]]
    assert tokenized.truncated == [1]


@pytest.mark.parametrize("words", [3, 50, 5000])
def test_an_input_that_may_not_be_cut_is_an_error_with_its_true_length(tokenizer, encode, words):
    with pytest.raises(InputTooLong) as caught:
        encode(tokenizer, ["w1", " ".join(["w1"] * words)], limit=4, truncate=False)
    assert (caught.value.index, caught.value.limit, caught.value.actual) == (1, 4, words + 2)


def test_a_very_long_text_keeps_the_tokens_it_would_have_as_a_whole(tokenizer, encode):
    text = " ".join(f"w{place % 90}" for place in range(10_000))
    assert ids(encode(tokenizer, [text], limit=8)) == [[2, 5, 6, 7, 8, 9, 10, 3]]
    assert ids(encode(tokenizer, [" " * 100_000 + "w1 w2"], limit=8)) == [[2, 6, 7, 3]]


def test_lower_casing_is_done_where_the_model_asks_for_it(build_checkpoint, encode):
    file = build_checkpoint().folder / "tokenizer.json"
    assert ids(encode(Tokenizer(file, lowercase=True, vocabulary=100), ["W1"])) == [[2, 6, 3]]
    assert ids(encode(Tokenizer(file, lowercase=False, vocabulary=100), ["W1"])) == [[2, 1, 3]]


def test_a_lone_surrogate_is_the_fault_of_its_request_alone(tokenizer, executor, run):
    async def both():
        encode = [
            tokenizer.encode(texts, limit=9, truncate=True, executor=executor) for texts in (["w1", "\ud800"], ["w2"])
        ]
        return await asyncio.gather(*encode, return_exceptions=True)

    bad, good = run(both())
    assert isinstance(bad, BadRequest)
    assert bad.index == 1
    assert ids(good) == [[2, 7, 3]]


def test_a_token_without_an_embedding_is_refused(build_checkpoint, encode):
    small = Tokenizer(build_checkpoint().folder / "tokenizer.json", lowercase=False, vocabulary=50)
    assert ids(encode(small, ["w1"])) == [[2, 6, 3]]
    with pytest.raises(BadRequest, match="no embedding") as caught:
        encode(small, ["w1", "w90"])
    assert caught.value.index == 1


def test_requests_that_wait_share_a_batch_whatever_their_limits(tokenizer, executor, run):
    batches = []
    encode_all = tokenizer._encode_all
    tokenizer._encode_all = lambda taken: (batches.append(len(taken)), encode_all(taken))[1]
    gate = threading.Event()

    async def all_together():
        executor.submit(gate.wait)  # the thread is busy while the requests arrive
        jobs = [
            asyncio.create_task(
                tokenizer.encode([f"w{place} w1 w2"], limit=4 + place % 2, truncate=True, executor=executor)
            )
            for place in range(6)
        ]
        await asyncio.sleep(0)
        jobs[5].cancel()
        gate.set()
        return await asyncio.gather(*jobs, return_exceptions=True)

    outcomes = run(all_together())
    assert batches[0] == 5, "the one that left is not tokenized"
    assert [len(outcome.encoded[0]) for outcome in outcomes[:5]] == [4, 5, 4, 5, 4]
    assert isinstance(outcomes[5], asyncio.CancelledError)


def test_a_stopped_node_refuses_instead_of_hanging(tokenizer, executor, encode):
    executor.shutdown()
    with pytest.raises(Draining):
        encode(tokenizer, ["w1"])
