"""Nobody makes the gateway call an address that an operator did not write on its command line."""

import socket
import threading

import pytest


@pytest.fixture
def trap():
    """A port of this machine at which somebody waits for the gateway to call; and who called."""
    called = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def wait():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    called.append(connection.recv(65536))

        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", called
        listener.shutdown(socket.SHUT_RDWR)
    waiting.join(5)


SETTINGS = (
    "api_base", "base_url", "api_url", "url", "endpoint", "proxy", "webhook", "callback_url", "source", "model_source",
    "image_url", "file_url", "input_url", "node", "nodes", "pool", "revision", "redirect", "api_key", "headers",
    "extra_headers", "extra_body", "custom_llm_provider", "user_config", "mock_response", "metadata",
)  # fmt: skip
"""What other gateways take from callers."""


def test_no_field_that_a_caller_sends_is_an_address(gateway_under_test, caller, trap):
    address, called = trap
    values = (f"http://{address}/", f"//{address}/", address, {"url": f"http://{address}"}, [f"http://{address}/"])
    seen = gateway_under_test.engine.calls
    for value in values:
        fields = dict.fromkeys(SETTINGS, value)
        assert gateway_under_test.embed(caller, {"input": "x", **fields}).status_code == 200
        body = {"model": "mini", "query": "q", "documents": ["d"], **fields}
        assert gateway_under_test.post("/v1/rerank", caller, json=body).status_code == 200
    assert gateway_under_test.engine.calls == seen + 2 * len(values)
    assert called == []


def test_no_model_text_or_document_is_fetched(gateway_under_test, caller, trap):
    address, called = trap
    url = f"http://{address}/x"
    assert gateway_under_test.embed(caller, {"input": [url, f"<img src={url}>"]}).status_code == 200
    for documents in ([url], [{"image_url": {"url": url}}], [{"text": url, "file": url}]):
        body = {"model": "mini", "query": url, "documents": documents}
        assert gateway_under_test.post("/v1/rerank", caller, json=body).status_code == 200
    for name in (url, f"//{address}/x", f"mini@{address}", f"mini#{url}", f"mini?url={url}"):
        assert gateway_under_test.embed(caller, {"model": name, "input": "x"}).status_code == 404
        assert gateway_under_test.request("GET", f"/v1/models/{name}", caller).status_code in {200, 404}
    assert called == []


def test_no_header_is_an_address(gateway_under_test, caller, trap):
    address, called = trap
    names = (
        "host", "x-forwarded-host", "x-forwarded-server", "forwarded", "x-original-url", "x-rewrite-url", "origin",
        "referer", "x-api-base", "x-portkey-custom-host", "x-litellm-api-base", "x-callback-url", "x-upstream", "via",
        "x-shoal-node", "x-shoal-pool", "x-envoy-original-dst-host", "proxy", "from", "x-wap-profile",
    )  # fmt: skip
    for name in names:
        for value in (address, f"http://{address}/"):
            reply = gateway_under_test.embed(caller, {"input": "x"}, headers={name: value})
            assert reply.status_code == 200 or (name == "host" and reply.status_code == 400)
            for path in ("/v1/models", "/admin", "/admin/api/v1/tenants", "/health/ready"):
                reply = gateway_under_test.request("GET", path, caller, headers={name: value})
                assert address not in reply.text
                assert address not in str(reply.headers)
    assert called == []


def test_what_only_the_gateway_may_say_to_a_node_no_caller_says(gateway_under_test, caller, monkeypatch):
    """Whose work it is, how much of the engine is its share, and which files make the model."""
    sent = []
    embed = type(gateway_under_test.services.engines).embed

    async def listening(client, node, request, patience):
        sent.append(request)
        return await embed(client, node, request, patience)

    monkeypatch.setattr(type(gateway_under_test.services.engines), "embed", listening)
    inner = {
        "flow": "another", "weight": 1000.0, "lane": "bulk", "tenant": "another", "tenant_id": "tn_x", "key_id": "x",
        "source": "/etc", "revision": "x", "dtype": "float16", "max_tokens": 1, "trust_remote_code": True, "user": "x",
        "user_role": "admin", "patience": 1e9, "timeout": 1e9, "__class__": "x", "constructor": {"prototype": {}},
    }  # fmt: skip
    for body in ({"input": "x"}, {"input": "x", **inner}):
        assert gateway_under_test.embed(caller, body).status_code == 200
    plain, loaded = sent
    assert loaded == plain
    assert [row.tenant_name for row in gateway_under_test.usage(caller)] == [caller.tenant] * 2
