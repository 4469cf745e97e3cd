"""Token arrays become the text that the client tokenized."""

import base64
import hashlib

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.cl100k import ORDINARY_TOKENS, SPECIAL_TOKENS, decode, vocabulary
from gateway.errors import RequestError

PUBLISHED_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
SPLIT = r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"""  # noqa: E501


def ranks() -> dict[bytes, int]:
    tokens, offsets = vocabulary()
    return {tokens[offsets[rank] : offsets[rank + 1]]: rank for rank in range(ORDINARY_TOKENS)}


@pytest.fixture(scope="module")
def encoding() -> tiktoken.Encoding:
    special = {text.decode(): token for token, text in SPECIAL_TOKENS.items()}
    return tiktoken.Encoding("cl100k_base", pat_str=SPLIT, mergeable_ranks=ranks(), special_tokens=special)


def test_the_vendored_table_is_the_published_vocabulary() -> None:
    lines = (base64.b64encode(token) + b" " + str(rank).encode() + b"\n" for token, rank in ranks().items())
    assert hashlib.sha256(b"".join(lines)).hexdigest() == PUBLISHED_SHA256


@given(text=st.text())
def test_what_the_client_encoded_comes_back(encoding: tiktoken.Encoding, text: str) -> None:
    assert decode(encoding.encode(text, disallowed_special=())) == text


def test_the_arrays_that_langchain_sends() -> None:
    assert decode([15339, 1917]) == "hello world"
    assert decode([65, 4046, 76502, 22656]) == "b é 日本"
    assert decode([]) == ""


def test_special_tokens_decode_to_their_text() -> None:
    assert decode([15339, 100257]) == "hello<|endoftext|>"


def test_half_a_character_is_replaced_not_refused(encoding: tiktoken.Encoding) -> None:
    ids = encoding.encode("🜚")
    assert len(ids) > 1
    assert "\ufffd" in decode(ids[:1])


@pytest.mark.parametrize("token", [-1, 100_256, 100_261, 100_275, 100_277, 2**40])
def test_an_unknown_id_is_refused_with_the_way_out(token: int) -> None:
    with pytest.raises(RequestError, match=rf"input\[3\].*{token}.*check_embedding_ctx_length=False"):
        decode([15339, token], index=3)
