import json

import msgspec
import pytest

from shoal.failures import StartFailure
from shoal.load.embeddings import count_tokens, embedding_requests


def sent(request: bytes) -> tuple[list[str], dict]:
    head, _, body = request.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), json.loads(body)


def test_texts_are_cut_into_whole_batches_in_their_order():
    requests = embedding_requests("http://host:1", "key", "model", list("abcdefg"), 3)
    assert [sent(request)[1]["input"] for request in requests] == [["a", "b", "c"], ["d", "e", "f"]]


def test_a_request_is_what_openais_client_sends():
    (request,) = embedding_requests("http://user@host:81/", "sk-shoal-x", "org/model", ["é"], 1)
    head, body = sent(request)
    assert head[:3] == ["POST /v1/embeddings HTTP/1.1", "host: host:81", "authorization: Bearer sk-shoal-x"]
    length = len(request.partition(b"\r\n\r\n")[2])
    assert f"content-length: {length}" in head
    assert body == {"model": "org/model", "input": ["é"], "encoding_format": "base64"}


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h", "/v1/embeddings"),
        ("http://h/v1", "/v1/embeddings"),
        ("http://h/v1/", "/v1/embeddings"),
        ("http://h/shoal", "/shoal/v1/embeddings"),
    ],
)
def test_the_address_may_have_the_version_or_not(url, path):
    (request,) = embedding_requests(url, "key", "model", ["a"], 1)
    assert request.startswith(f"POST {path} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://h", "http://", ""])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(StartFailure, match="not the address of a server"):
        embedding_requests(url, "key", "model", ["a"], 1)


@pytest.mark.parametrize("key", ["a\r\nx-evil: 1", "schlüssel"])
def test_a_key_that_can_not_stand_in_a_header_is_refused_and_not_echoed(key):
    with pytest.raises(StartFailure) as failure:
        embedding_requests("http://h", key, "model", ["a"], 1)
    assert key not in str(failure.value)


def test_tokens_are_those_of_the_reply():
    assert count_tokens(b'{"data":[{"embedding":"AAAA"}],"usage":{"prompt_tokens":12,"total_tokens":12}}') == 12
    with pytest.raises(msgspec.DecodeError):
        count_tokens(b'{"data":[]}')
