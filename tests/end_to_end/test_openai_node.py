"""The OpenAI SDK for Node against the real server: it trusts base64 blindly, so a wrong byte is a wrong vector."""

import json

import numpy as np
import pytest


@pytest.fixture(scope="module")
def answers(server, run_node):
    return json.loads(run_node("embeddings.mjs", server.url, server.api_key, "all-minilm-l6-v2"))


def test_vectors_are_those_of_sentence_transformers(answers, reference) -> None:
    expected = reference.encode(["Herring swim in shoals.", "naïve café 🐟"], convert_to_numpy=True)
    assert np.abs(np.array(answers["base64"]) - expected).max() < 1e-5


def test_base64_and_float_are_the_same_bits(answers) -> None:
    as_base64, as_float = (np.array(answers[form], dtype=np.float32) for form in ("base64", "float"))
    assert np.array_equal(as_base64.view(np.uint32), as_float.view(np.uint32))


def test_a_text_a_list_and_a_token_array_give_one_vector(answers) -> None:
    assert answers["text"] == answers["list"] == answers["tokens"]


def test_usage_models_and_slashed_ids(answers) -> None:
    assert answers["usage"]["prompt_tokens"] == answers["usage"]["total_tokens"] > 0
    assert answers["retrieved"] in answers["models"]


def test_errors_are_the_sdks_own_classes(answers) -> None:
    def failure(name: str, status: int, code: str) -> dict[str, object]:
        return {"class": name, "status": status, "code": code, "requestID": True}

    assert answers["unknownModel"] == failure("NotFoundError", 404, "model_not_found")
    assert answers["wrongKey"] == failure("AuthenticationError", 401, "invalid_api_key")
