"""What careless and hostile callers send: the right status and body, nothing counted, the next request served."""

import http.client
import json
import socket

import httpx
import pytest

MODEL = "all-minilm-l6-v2"


@pytest.fixture(scope="module")
def key(server):
    """A key of a tenant whose tokens are counted, so that a test sees what was charged."""
    key = server.new_tenant("careless", "*", tokens=10_000_000)
    server.until(
        lambda: server.get("/v1/models", key).headers["x-ratelimit-limit-tokens"] == "10000000", "limit in force"
    )
    return key


def tokens_left(server, key) -> int:
    return int(server.get("/v1/models", key).headers["x-ratelimit-remaining-tokens"])


def post(server, key, content: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/v1/embeddings",
        content=content,
        headers={"authorization": f"Bearer {key}", **headers},
        timeout=120,
    )


def body(**fields) -> bytes:
    return json.dumps({"model": MODEL, **fields}).encode()


@pytest.mark.parametrize(
    ("content", "status", "code", "phrase"),
    [
        (b"{", 400, None, "We could not parse the JSON body of your request"),
        (b"", 400, None, "We could not parse the JSON body of your request"),
        (b"\xff\xfe", 400, None, "We could not parse the JSON body of your request"),
        (b'{"model": "%s", "input": "\\ud800"}' % MODEL.encode(), 400, None, "We could not parse the JSON body"),
        (b'{"input": "x"}', 400, None, "you must provide a model parameter"),
        (body(), 400, "missing_required_parameter", "Missing required parameter: 'input'."),
        (body(input=None), 400, "missing_required_parameter", "Missing required parameter: 'input'."),
        (body(input=[]), 400, None, "input"),
        (body(input={"text": "x"}), 400, None, "input"),
        (body(input=["x", 1]), 400, None, "input"),
        (body(input=[100277]), 400, "invalid_token", "check_embedding_ctx_length=False"),
        (body(input="x", dimensions=0), 400, None, "dimensions"),
        (body(input="x", dimensions=64), 400, None, "This model does not support specifying dimensions."),
        (body(input="x", encoding_format="hex"), 400, None, "encoding_format"),
        (
            body(input="word " * 400, truncate=False),
            400,
            "context_length_exceeded",
            "maximum context length is 256 tokens",
        ),
        (b'{"model": "no\\u0000model", "input": "x"}', 404, "model_not_found", "does not exist"),
    ],
)
def test_is_refused_in_openais_shape_and_costs_nothing(server, key, content, status, code, phrase) -> None:
    before = tokens_left(server, key)
    reply = post(server, key, content, **{"content-type": "application/json"})
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert phrase in error["message"]
    assert reply.json()["message"] == reply.json()["detail"] == error["message"]
    if code is not None:
        assert error["code"] == code
    assert reply.headers["x-request-id"]
    assert tokens_left(server, key) >= before
    assert post(server, key, body(input="next")).status_code == 200


@pytest.mark.parametrize("text", ["", "\x00", "\ufffd", "a\x00b", "\u202e", "🏴󠁧󠁢󠁳󠁣󠁴󠁿" * 50, " \t\n"])
def test_odd_texts_have_vectors(server, key, text) -> None:
    reply = post(server, key, body(input=["before", text, "after"]))
    assert reply.status_code == 200, reply.text
    assert [len(item["embedding"]) for item in reply.json()["data"]] == [384] * 3


def test_a_long_text_is_cut_and_that_is_said(server, key) -> None:
    reply = post(server, key, body(input=["short", "word " * 400]))
    assert reply.json()["truncated"] == [1]
    assert reply.headers["x-shoal-truncated"] == "1"
    assert "truncated" not in post(server, key, body(input="short")).json()


def test_ten_thousand_inputs_are_embedded(server, key) -> None:
    reply = post(server, key, body(input=["x"] * 10_000, encoding_format="base64"))
    assert reply.status_code == 200
    assert len(reply.json()["data"]) == 10_000


def test_fifty_megabytes_are_refused(server, key) -> None:
    reply = post(server, key, body(input="x" * 50_000_000))
    assert reply.status_code == 413
    assert reply.json()["error"]["type"] == "request_too_large"
    assert post(server, key, body(input="next")).status_code == 200


def test_a_caller_that_leaves_is_not_charged(server, key) -> None:
    server.until(lambda: tokens_left(server, key) > 9_999_000, "the bucket is full again")
    left_before = tokens_left(server, key)
    content = body(input=["some words of a caller who will not wait"] * 3000)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        headers = f"host: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(content)}\r\n\r\n"
        connection.sendall(f"POST /v1/embeddings HTTP/1.1\r\n{headers}".encode() + content)
        server.until(lambda: tokens_left(server, key) < left_before - 1000, "the request is being served")
    server.until(lambda: tokens_left(server, key) >= left_before - 100, "everything is given back", limit=5)
    assert post(server, key, body(input="next")).status_code == 200


def test_a_body_without_content_type_is_read_as_json(server, key) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", "/v1/embeddings")
    connection.putheader("Authorization", f"Bearer {key}")
    content = body(input="x")
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content)
    reply = connection.getresponse()
    assert reply.status == 200
    assert reply.getheader("content-type") == "application/json"
    connection.close()


@pytest.mark.parametrize(
    "credential", ["", "Bearer", "Bearer sk-shoal-x", "Bearer sk-shoal-aaaaaaaaaaaa-" + "b" * 43, "Basic eDp5"]
)
def test_keys_that_are_none_are_401(server, credential) -> None:
    reply = httpx.post(f"{server.url}/v1/embeddings", content=body(input="x"), headers={"authorization": credential})
    assert reply.status_code == 401
    assert reply.json()["error"]["type"] == "invalid_request_error"
