"""A tenant's own names for models: first for that tenant, nothing to any other, and no way to more models."""

import pytest

from gateway.services.register import aliases

MINI, SECRET = "tests/mini", "tests/secret"


@pytest.fixture
def pair(running):
    return running.caller(), running.caller()


def set_alias(gateway, caller, alias, model):
    gateway.change(aliases.set_alias, caller.tenant, alias, model)


def served_by(gateway, caller, name):
    """Which model answers to the name; None where there is none."""
    reply = gateway.embed(caller, {"model": name, "input": "x"})
    if reply.status_code == 404:
        assert reply.json()["error"]["code"] == "model_not_found"
        return None
    assert (reply.status_code, reply.json()["model"]) == (200, name)
    return gateway.usage(caller)[-1].model


def test_a_tenant_calls_a_model_by_its_own_name_and_others_do_not(gateway_under_test, pair):
    mine, other = pair
    set_alias(gateway_under_test, mine, "text-embedding-3-small", "mini")
    assert served_by(gateway_under_test, mine, "text-embedding-3-small") == MINI
    assert served_by(gateway_under_test, other, "text-embedding-3-small") is None
    shown = gateway_under_test.request("GET", "/v1/models/text-embedding-3-small", mine)
    assert (shown.status_code, shown.json()["id"]) == (200, "text-embedding-3-small")
    assert gateway_under_test.request("GET", "/v1/models/text-embedding-3-small", other).status_code == 404


def test_neither_a_list_nor_a_hint_shows_another_tenants_alias(gateway_under_test, pair):
    set_alias(gateway_under_test, pair[0], "only-ours", MINI)
    listed = [gateway_under_test.request("GET", "/v1/models", who).text for who in pair]
    assert "only-ours" in listed[0]
    assert "only-ours" not in listed[1]
    hints = [gateway_under_test.embed(who, {"model": "only-our", "input": "x"}).json()["message"] for who in pair]
    assert "Did you mean `only-ours`?" in hints[0]
    assert "only-ours" not in hints[1]


def test_a_tenants_alias_wins_over_everybodys_name_for_that_tenant_alone(gateway_under_test, pair):
    mine, other = pair
    set_alias(gateway_under_test, mine, "mini", SECRET)
    assert served_by(gateway_under_test, mine, "mini") == SECRET
    assert served_by(gateway_under_test, other, "mini") == MINI
    models = gateway_under_test.request("GET", "/v1/models", mine).json()["data"]
    assert {model["id"]: model["aliases"] for model in models} == {MINI: [], SECRET: ["mini"]}


def test_it_wins_over_a_models_id_too_and_the_list_offers_names_that_lead_there(gateway_under_test, pair):
    mine, other = pair
    set_alias(gateway_under_test, mine, MINI, SECRET)
    assert served_by(gateway_under_test, mine, MINI) == SECRET
    assert served_by(gateway_under_test, mine, "mini") == MINI
    models = gateway_under_test.request("GET", "/v1/models", mine).json()["data"]
    assert {model["id"]: model["aliases"] for model in models} == {"mini": ["mini"], SECRET: [MINI]}
    assert served_by(gateway_under_test, other, MINI) == MINI


def test_an_alias_is_no_way_around_the_allowlist(gateway_under_test):
    narrow = gateway_under_test.caller(allow=["tests/mini", "open-sesame"])
    denied = gateway_under_test.caller(allow=["*"], deny=["tests/secret"])
    for caller in (narrow, denied):
        set_alias(gateway_under_test, caller, "open-sesame", SECRET)
        assert served_by(gateway_under_test, caller, "open-sesame") is None
        assert "open-sesame" not in gateway_under_test.request("GET", "/v1/models", caller).text
        assert gateway_under_test.usage(caller) == []


def test_a_removed_alias_means_again_what_it_means_to_everybody(gateway_under_test, pair):
    mine, _ = pair
    set_alias(gateway_under_test, mine, "mini", SECRET)
    gateway_under_test.change(aliases.remove_alias, mine.tenant, "mini")
    assert served_by(gateway_under_test, mine, "mini") == MINI
