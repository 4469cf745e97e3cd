"""The tokens of texts, described: whole, in characters, and as the model reads them."""

import msgspec
import pytest
import tokenizers

from engine.protocol import MEDIA_TYPE, ErrorReply, Token, TokenizeReply, TokenizeRequest
from engine.tasks.tokenize import MAX_CHARACTERS, described


async def call(client, request):
    headers = {"content-type": MEDIA_TYPE}
    response = await client.post("/tokenize", content=msgspec.msgpack.encode(request), headers=headers)
    wanted = TokenizeReply if response.status_code == 200 else ErrorReply
    return response.status_code, msgspec.msgpack.decode(response.content, type=wanted)


def test_a_node_describes_tokens_uncut(served, run, build_checkpoint):
    ref = build_checkpoint().ref()

    async def work():
        async with served() as (client, _):
            status, reply = await call(client, TokenizeRequest(ref, ["w1 w2", " ".join(["w1"] * 500)]))
            assert status == 200
            short, long = reply.tokens
            assert [token.special for token in short] == [True, False, False, True]
            assert [(token.text, token.start, token.stop) for token in short[1:3]] == [("w1", 0, 2), ("w2", 3, 5)]
            assert short[0].start is short[0].stop is None
            assert len(long) == 502, "longer than the model takes"
            status, bare = await call(client, TokenizeRequest(ref, ["w1", ""], special_tokens=False))
            assert (status, [len(tokens) for tokens in bare.tokens]) == (200, [1, 0])

    run(work())


@pytest.mark.parametrize(
    ("inputs", "says"), [([], "nothing to tokenize"), (["x" * MAX_CHARACTERS, "x"], "1048577 characters")]
)
def test_a_node_refuses_nothing_and_too_much(served, run, build_checkpoint, inputs, says):
    ref = build_checkpoint().ref()

    async def work():
        async with served() as (client, _):
            status, reply = await call(client, TokenizeRequest(ref, inputs))
            assert (status, reply.code) == (400, "bad_request")
            assert says in reply.message

    run(work())


def test_places_are_characters_and_not_bytes():
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"日本": 0, "é": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    assert described(tokenizer, texts=["É 日本 x"], lowercase=True, specials=True) == [
        [Token(1, "é", False, 0, 1), Token(0, "日本", False, 2, 4), Token(2, "x", False, 5, 6)]
    ]


def test_the_ids_are_those_that_the_model_is_run_with(served, run, build_checkpoint):
    checkpoint = build_checkpoint()
    ref = checkpoint.ref()

    async def work():
        async with served() as (client, _):
            _, reply = await call(client, TokenizeRequest(ref, ["w3 w5 unheard-of"]))
            return [token.id for token in reply.tokens[0]]

    reference = tokenizers.Tokenizer.from_file(str(checkpoint.folder / "tokenizer.json"))
    assert run(work()) == reference.encode("w3 w5 unheard-of").ids
