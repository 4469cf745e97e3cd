import pytest

from gateway.services.register import models
from gateway.services.register.model_facts import ModelFacts

MINI = "tests/mini"


def test_the_list_names_what_the_key_may_use_and_nothing_else(gateway_under_test):
    narrow = gateway_under_test.caller(allow=["tests/m*"])
    reply = gateway_under_test.request("GET", "/v1/models", narrow)
    (model,) = reply.json()["data"]
    assert reply.json()["object"] == "list"
    assert (model["id"], model["object"], model["owned_by"]) == (MINI, "model", "shoal")
    assert isinstance(model["created"], int)
    assert (model["dimensions"], model["max_input_tokens"], model["type"]) == (8, 512, "embedding")
    assert (model["tasks"], model["outputs"], model["native"]) == ([], [], None), "nobody looked at its files"


@pytest.mark.parametrize(
    ("tasks", "outputs", "kind"),
    [
        (("embed", "rerank"), ("dense", "sparse"), "embedding"),
        (("rerank",), ("scores",), "rerank"),
        (("classify", "rerank"), ("scores",), "rerank"),
        (("classify",), ("classes",), "classify"),
        (("extract",), ("spans",), "extract"),
    ],
)
def test_what_a_look_at_a_model_found_is_shown(gateway_under_test, caller, tasks, outputs, kind):
    facts = ModelFacts(tasks=tasks, outputs=outputs, native=False)
    gateway_under_test.change(models.add_model, models.NewModel(id="tests/seen", facts=facts))
    try:
        seen = gateway_under_test.request("GET", "/v1/models/tests/seen", caller).json()
    finally:
        gateway_under_test.change(models.remove_model, "tests/seen")
    assert (seen["type"], seen["tasks"], seen["outputs"], seen["native"]) == (kind, list(tasks), list(outputs), False)


@pytest.mark.parametrize("spelling", ["tests/mini", "tests%2Fmini", "tests%2fmini"])
def test_slashes_come_raw_or_percent_encoded(gateway_under_test, caller, spelling):
    reply = gateway_under_test.request("GET", f"/v1/models/{spelling}", caller)
    assert (reply.status_code, reply.json()["id"]) == (200, MINI)


def test_an_alias_is_a_model_too(gateway_under_test, caller):
    assert gateway_under_test.request("GET", "/v1/models/mini", caller).json()["id"] == "mini"


def test_a_forbidden_model_looks_like_none(gateway_under_test):
    narrow = gateway_under_test.caller(allow=["*"], deny=["tests/secret"])
    for path in ("/v1/models/tests/secret", "/v1/models/tests/unheard-of"):
        reply = gateway_under_test.request("GET", path, narrow)
        name = path.removeprefix("/v1/models/")
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] == "model_not_found"
        assert reply.json()["message"].startswith(f"The model `{name}` does not exist or you do not have access to it.")
    assert [model["id"] for model in gateway_under_test.request("GET", "/v1/models", narrow).json()["data"]] == [MINI]


def test_models_can_not_be_deleted(gateway_under_test, caller):
    reply = gateway_under_test.request("DELETE", "/v1/models/tests/mini", caller)
    assert reply.status_code == 405
