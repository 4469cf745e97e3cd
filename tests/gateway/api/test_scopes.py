"""A key does what its scopes name, and every route names one."""

from typing import Any

import pytest
from litestar import Litestar, WebSocket, get, websocket

from gateway.auth import PUBLIC, check_routes
from gateway.services.register import keys
from gateway.services.register.keys import SCOPES

CALLS = {
    "embeddings": (
        "POST",
        ["/v1/embeddings", "/embeddings", "/v1/v1/embeddings", "/v1/embed", "/v2/embed"],
        {"input": "x", "texts": ["x"]},
    ),
    "classify": ("POST", ["/v1/classify", "/classify"], {"input": "x"}),
    "extract": ("POST", ["/v1/extract", "/extract"], {"input": "x"}),
    "rerank": ("POST", ["/v1/rerank", "/rerank", "/v2/rerank"], {"query": "q", "documents": ["d"]}),
    "models": ("GET", ["/v1/models", "/models", "/v1/models/mini"], None),
}


def keep_to(gateway, caller, *scopes):
    gateway.change(keys.update_key, caller.key_id, scopes=scopes)


def ask(gateway, caller, scope):
    method, paths, body = CALLS[scope]
    options = {} if body is None else {"json": {"model": "mini", **body}}
    return [gateway.request(method, path, caller, **options) for path in paths]


@pytest.mark.parametrize("scope", CALLS)
def test_a_scope_opens_its_own_routes_and_no_others(gateway_under_test, caller, scope):
    keep_to(gateway_under_test, caller, scope)
    assert {reply.status_code for reply in ask(gateway_under_test, caller, scope)} == {200}
    for other in set(CALLS) - {scope}:
        for reply in ask(gateway_under_test, caller, other):
            error = reply.json()["error"]
            assert (reply.status_code, error["type"], error["code"]) == (403, "permission_error", "missing_scope")
            assert f"it has no scope '{other}', only {scope}." in error["message"]


def test_what_the_scopes_forbid_is_neither_sent_nor_counted(gateway_under_test):
    caller = gateway_under_test.caller(requests=5)
    keep_to(gateway_under_test, caller, "models")
    assert gateway_under_test.embed(caller, {"input": "x"}).status_code == 403
    assert gateway_under_test.usage(caller) == []
    reply = gateway_under_test.request("GET", "/v1/models", caller)
    assert reply.headers["x-ratelimit-remaining-requests"] == "5"


def test_a_key_without_scopes_may_do_everything_and_gets_it_back(gateway_under_test, caller):
    keep_to(gateway_under_test, caller, "models")
    gateway_under_test.change(keys.update_key, caller.key_id, scopes=None)
    for scope in CALLS:
        assert {reply.status_code for reply in ask(gateway_under_test, caller, scope)} == {200}


def route(**opt):
    @get("/x", opt=opt)
    async def handler() -> None: ...

    return handler


@pytest.mark.parametrize("path", ["/embed", "/", "/embed_sparse", "/embed_all"])
def test_teis_paths_are_embeddings(gateway_under_test, caller, path):
    keep_to(gateway_under_test, caller, "rerank")
    refused = gateway_under_test.post(path, caller, json={"inputs": "x"})
    assert refused.status_code == 403
    assert "it has no scope 'embeddings'" in refused.json()["error"]
    keep_to(gateway_under_test, caller, "embeddings")
    assert gateway_under_test.post(path, caller, json={"inputs": "x"}).status_code == 200


@pytest.mark.parametrize("opt", [{}, {"scope": "everything"}, {"scope": None}, {"public": False}, {"endpoint": "/x"}])
def test_a_route_that_nobody_decided_about_stops_the_start(opt):
    with pytest.raises(RuntimeError, match="/x is not public and names no scope of embeddings, rerank"):
        check_routes(Litestar([route(**opt)], openapi_config=None, logging_config=None))


@pytest.mark.parametrize("opt", [PUBLIC, *({"scope": scope} for scope in SCOPES)])
def test_a_route_that_says_whom_it_is_for_is_let_be(opt):
    check_routes(Litestar([route(**opt)], openapi_config=None, logging_config=None))


def test_a_socket_that_no_key_would_be_asked_for_stops_the_start():
    @websocket("/x", opt={"scope": "chat"})
    async def handler(socket: WebSocket[Any, Any, Any]) -> None: ...

    with pytest.raises(TypeError, match="/x is not HTTP"):
        check_routes(Litestar([handler], openapi_config=None, logging_config=None))
