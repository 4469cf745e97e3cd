"""The OpenAI SDK for Python against the real server: true vectors, in every shape that the SDK can send."""

import base64

import numpy as np
import openai
import pytest

TEXTS = [
    "Herring swim in shoals.",
    "",
    "naïve café — 日本語のテキスト 🐟",
    "A sentence that is a good deal longer than the others, so that the batch holds sequences of different lengths.",
    "word " * 300,
]


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.api_key, max_retries=0) as client:
        yield client


def vectors(reply) -> np.ndarray:
    assert [item.index for item in reply.data] == list(range(len(reply.data)))
    return np.array([item.embedding for item in reply.data], dtype=np.float32)


def test_vectors_are_those_of_sentence_transformers(client, reference) -> None:
    reply = client.embeddings.create(model="all-minilm-l6-v2", input=TEXTS)
    expected = reference.encode(TEXTS, convert_to_numpy=True)
    assert np.abs(vectors(reply) - expected).max() < 1e-5


def test_base64_and_float_are_the_same_bits(client) -> None:
    as_floats = client.embeddings.create(model="all-minilm-l6-v2", input=TEXTS, encoding_format="float")
    as_base64 = client.embeddings.create(model="all-minilm-l6-v2", input=TEXTS, encoding_format="base64")
    decoded = [np.frombuffer(base64.b64decode(item.embedding), dtype="<f4") for item in as_base64.data]
    assert np.array_equal(vectors(as_floats).view(np.uint32), np.array(decoded).view(np.uint32))


def test_a_text_a_list_and_a_token_array_give_one_vector(client) -> None:
    text, tokens = "hello world", [15339, 1917]
    shapes = [text, [text], tokens, [tokens]]
    rows = [vectors(client.embeddings.create(model="all-minilm-l6-v2", input=shape))[0] for shape in shapes]
    assert all(np.array_equal(rows[0], row) for row in rows[1:])


def test_alone_and_in_a_mixed_batch_are_equal(client) -> None:
    together = vectors(client.embeddings.create(model="all-minilm-l6-v2", input=TEXTS))
    alone = [vectors(client.embeddings.create(model="all-minilm-l6-v2", input=text))[0] for text in TEXTS]
    assert np.abs(together - np.array(alone)).max() < 1e-6


def test_usage_is_the_tokenizers_count(client, reference) -> None:
    reply = client.embeddings.create(model="all-minilm-l6-v2", input=TEXTS)
    lengths = [min(256, len(ids)) for ids in reference.tokenizer(TEXTS)["input_ids"]]
    assert reply.usage.prompt_tokens == reply.usage.total_tokens == sum(lengths)


def test_models_are_listed_and_found_by_their_slashed_id(client) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert "sentence-transformers/all-MiniLM-L6-v2" in listed
    found = client.models.retrieve("sentence-transformers/all-MiniLM-L6-v2")
    assert found.object == "model"
    assert found.id == "sentence-transformers/all-MiniLM-L6-v2"


def test_an_unknown_model_is_the_sdks_not_found(client) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="no-such-model", input="x")
    assert caught.value.code == "model_not_found"
    assert caught.value.request_id


def test_a_wrong_key_is_the_sdks_authentication_error(server) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="sk-shoal-nobody-nothing", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as caught:
            stranger.embeddings.create(model="all-minilm-l6-v2", input="x")
        assert caught.value.code == "invalid_api_key"
        assert "nothing" not in str(caught.value)


def test_three_thousand_inputs_in_one_request(client) -> None:
    texts = [f"document number {number}" for number in range(3000)]
    reply = client.embeddings.create(model="all-minilm-l6-v2", input=texts)
    assert len(reply.data) == 3000
    alone = client.embeddings.create(model="all-minilm-l6-v2", input=texts[2718])
    assert np.abs(vectors(reply)[2718] - vectors(alone)[0]).max() < 1e-6
