"""Two tenants: nothing of one can be seen, used or spent by the other."""

import pytest


@pytest.fixture
def pair(running):
    return running.caller(allow=["tests/mini"], requests=5), running.caller(allow=["tests/secret"], requests=5)


def test_each_sees_and_uses_its_own_models_only(gateway_under_test, pair):
    for one, mine, other in zip(pair, ("tests/mini", "tests/secret"), ("tests/secret", "tests/mini"), strict=True):
        listed = gateway_under_test.request("GET", "/v1/models", one).json()["data"]
        assert [model["id"] for model in listed] == [mine]
        assert gateway_under_test.embed(one, {"model": mine, "input": "x"}).status_code == 200
        for path, body in (
            ("/v1/embeddings", {"model": other, "input": "x"}),
            ("/v1/rerank", {"model": other, "query": "q", "documents": ["d"]}),
            ("/v1/classify", {"model": other, "input": "x"}),
            ("/v1/extract", {"model": other, "input": "x"}),
            ("/v1/embed", {"model": other, "texts": ["x"]}),
            ("/v2/embed", {"model": other, "texts": ["x"]}),
        ):
            forbidden = gateway_under_test.post(path, one, json=body)
            unknown = gateway_under_test.post(path, one, json=body | {"model": "nowhere/zzz"})
            assert forbidden.status_code == unknown.status_code == 404
            assert forbidden.json()["error"]["code"] == unknown.json()["error"]["code"]
            assert "Did you mean" not in unknown.json()["message"]
            assert other in forbidden.json()["message"]


def test_an_alias_is_no_way_around_the_allowlist(gateway_under_test, pair):
    assert gateway_under_test.embed(pair[1], {"model": "mini", "input": "x"}).status_code == 404


def test_the_default_model_is_no_way_around_the_allowlist(gateway_under_test, pair):
    assert gateway_under_test.post("/v1/embeddings", pair[1], json={"input": "x"}).status_code == 404


def test_one_spends_nothing_of_the_others_quota(gateway_under_test, pair):
    first, second = pair
    while gateway_under_test.embed(first, {"model": "tests/mini", "input": "x"}).status_code == 200:
        pass
    reply = gateway_under_test.embed(second, {"model": "tests/secret", "input": "x"})
    assert reply.status_code == 200
    assert reply.headers["x-ratelimit-remaining-requests"] == "4"


def test_usage_names_who_it_was(gateway_under_test, pair):
    first, second = pair
    gateway_under_test.embed(first, {"model": "tests/mini", "input": "x"})
    gateway_under_test.embed(second, {"model": "tests/secret", "input": "x y"})
    assert [row.tenant_name for row in gateway_under_test.usage(first)] == [first.tenant]
    assert [(row.tenant_name, row.model) for row in gateway_under_test.usage(second)] == [
        (second.tenant, "tests/secret")
    ]


def test_tenants_are_told_apart_at_the_node(gateway_under_test, pair, monkeypatch):
    seen = []
    embed = type(gateway_under_test.services.engines).embed

    async def listening(client, node, request, patience):
        seen.append(request.flow)
        return await embed(client, node, request, patience)

    monkeypatch.setattr(type(gateway_under_test.services.engines), "embed", listening)
    gateway_under_test.embed(pair[0], {"model": "tests/mini", "input": "x"})
    gateway_under_test.embed(pair[1], {"model": "tests/secret", "input": "x"})
    assert len(set(seen)) == 2
