"""OpenAI's own client against the gateway: results, error classes, retries."""

import struct
import time

import openai
import pytest

from benchmarks.fake_engine import vector
from gateway.services.register import models, tenants

MINI = "tests/mini"


def served(request, gateway, purpose):
    """A model, wherever it is served: clients must not see a difference. Pools that fail are apart from others."""
    if request.param == "engine node":
        return MINI
    if request.param == "upstream":
        return gateway.served_by(request.getfixturevalue("upstream"), f"as-the-engine-{purpose}")
    pool = f"another-shoal-{purpose}"
    if pool not in gateway.services.nodes.pools:
        gateway.upstream(pool, gateway.url, key=gateway.caller().key)
        gateway.change(models.add_model, models.NewModel(id=f"up/{pool}", source=MINI, pool=pool))
    return f"up/{pool}"


@pytest.fixture(params=["engine node", "upstream", "another Shoal"])
def model(request, gateway_under_test):
    return served(request, gateway_under_test, "well")


@pytest.fixture(params=["engine node", "upstream", "another Shoal"])
def failing(request, gateway_under_test):
    return served(request, gateway_under_test, f"failing-{next(gateway_under_test.names)}")


@pytest.fixture
def client(gateway_under_test, caller):
    with openai.OpenAI(base_url=f"{gateway_under_test.url}/v1", api_key=caller.key, max_retries=0) as made:
        yield made


def test_embeddings_come_as_the_client_asks_by_itself(client, model):
    reply = client.embeddings.create(model=model, input=["hello world", "x"])
    assert [item.embedding for item in reply.data] == [
        list(struct.unpack("<8f", vector(text, 8))) for text in ("hello world", "x")
    ]
    assert (reply.model, reply.usage.prompt_tokens, reply.usage.total_tokens) == (model, 7, 7)
    assert reply._request_id.startswith("req_")


def test_all_formats_and_shapes_agree(client, model):
    create = client.embeddings.create
    default = create(model=model, input="hello world").data[0].embedding
    assert create(model=model, input="hello world", encoding_format="float").data[0].embedding == default
    assert create(model=model, input=["hello world"]).data[0].embedding == default
    assert create(model=model, input=[15339, 1917]).data[0].embedding == default
    assert create(model=model, input=[[15339, 1917]], extra_body={"late_chunking": False}).data[0].embedding == default
    assert len(create(model=model, input="x", dimensions=4, user="u").data[0].embedding) == 4


def test_models_are_listed_and_retrieved_by_an_id_with_a_slash(client, model):
    assert model in [listed.id for listed in client.models.list()]
    assert client.models.retrieve(model).id == model


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        ({"input": []}, openai.BadRequestError, None),
        ({"input": "x", "model": "none"}, openai.NotFoundError, "model_not_found"),
        ({"input": "__error queue_full__"}, openai.RateLimitError, "engine_overloaded"),
        ({"input": "__error inference_failed__"}, openai.InternalServerError, None),
        ({"input": "__error model_loading__"}, openai.InternalServerError, "model_loading"),
        ({"input": "x" * 1_000_001}, openai.APIStatusError, "request_too_large"),
    ],
)
def test_errors_arrive_as_the_clients_own_classes(client, failing, body, kind, code):
    with pytest.raises(kind) as caught:
        client.embeddings.create(**{"model": failing, **body})
    elsewhere = failing != MINI and kind is openai.InternalServerError  # its reasons are the operator's business
    assert caught.value.code == ("no_engine_node" if elsewhere else code)
    assert caught.value.request_id.startswith("req_")


def test_a_wrong_key_and_a_suspended_tenant_have_their_classes(gateway_under_test, caller):
    url = f"{gateway_under_test.url}/v1"
    wrong = openai.OpenAI(base_url=url, api_key="sk-wrong", max_retries=0)
    with wrong, pytest.raises(openai.AuthenticationError, match="Incorrect API key provided"):
        wrong.models.list()
    gateway_under_test.change(tenants.suspend_tenant, caller.tenant)
    suspended = openai.OpenAI(base_url=url, api_key=caller.key, max_retries=0)
    with suspended, pytest.raises(openai.PermissionDeniedError):
        suspended.models.list()


def test_the_client_waits_as_told_and_succeeds(gateway_under_test, model):
    limited = gateway_under_test.caller(requests=60)
    with openai.OpenAI(base_url=f"{gateway_under_test.url}/v1", api_key=limited.key, max_retries=2) as client:
        for _ in range(60):
            client.embeddings.create(model=model, input="x")
        began = time.monotonic()
        client.embeddings.create(model=model, input="x")
    assert time.monotonic() - began < 3


def test_a_cost_that_no_wait_cures_is_not_retried(gateway_under_test, model):
    limited = gateway_under_test.caller(tokens=10)
    calls = gateway_under_test.engine.calls
    client = openai.OpenAI(base_url=f"{gateway_under_test.url}/v1", api_key=limited.key, max_retries=5)
    with client, pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=model, input="x" * 100)
    assert gateway_under_test.engine.calls == calls
