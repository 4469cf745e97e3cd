"""The node over HTTP, on a real socket."""

import asyncio

import msgspec
import numpy as np
import pytest

from engine.protocol import (
    MEDIA_TYPE,
    EmbedReply,
    EmbedRequest,
    ErrorReply,
    ModelRef,
    ModelRequest,
    NodeStatus,
    RerankReply,
    RerankRequest,
)
from engine.server import MAX_BODY_BYTES, create_engine_app

SECRET = "s3cret-of-the-node"


async def call(client, path, message, wanted=None):
    response = await client.post(path, content=msgspec.msgpack.encode(message), headers={"content-type": MEDIA_TYPE})
    assert response.headers["content-type"] == MEDIA_TYPE
    return response.status_code, msgspec.msgpack.decode(response.content, type=wanted or ErrorReply)


def test_a_gateway_embeds_ranks_loads_and_unloads(served, run, build_checkpoint):
    ref = build_checkpoint().ref()

    async def work():
        async with served() as (client, _):
            status, node = await call(client, "/load", ModelRequest(model=ref), NodeStatus)
            assert (status, node.models[0].state) == (200, "resident")
            status, reply = await call(client, "/embed", EmbedRequest(model=ref, inputs=["w1", "w2 w3"]), EmbedReply)
            assert (status, reply.dimensions, reply.token_counts) == (200, 32, [3, 4])
            rows = np.frombuffer(reply.vectors, "<f4").reshape(2, 32)
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
            ranking = RerankRequest(model=ref, query="w1", documents=["w2 w3", "w1"])
            status, ranked = await call(client, "/rerank", ranking, RerankReply)
            assert status == 200
            np.testing.assert_allclose(ranked.scores, [rows[0] @ rows[1], 1], atol=1e-6)
            status, node = await call(client, "/pin", ModelRequest(model=ref), NodeStatus)
            assert (status, node.models[0].pinned, node.models[0].tier) == (200, True, "device")
            status, node = await call(client, "/unpin", ModelRequest(model=ref), NodeStatus)
            assert (status, node.models[0].pinned, node.models[0].tier) == (200, False, "device")
            status, node = await call(client, "/unload", ModelRequest(model=ref), NodeStatus)
            assert (status, node.models) == (200, [])
            status, node = await call(client, "/pin", ModelRequest(model=ref), NodeStatus)
            assert (status, node.models[0].pinned, node.models[0].tier) == (200, True, "device")

    run(work())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/embed"),
        ("POST", "/rerank"),
        ("POST", "/load"),
        ("POST", "/unload"),
        ("POST", "/pin"),
        ("POST", "/unpin"),
        ("GET", "/status"),
        ("GET", "/metrics"),
    ],
)
@pytest.mark.parametrize("credential", [None, "", "Bearer", "Bearer wrong", f"Basic {SECRET}", SECRET, "Bearer \xff"])
def test_every_call_asks_for_the_secret(served, run, method, path, credential):
    async def work():
        async with served() as (client, runtime):
            del client.headers["authorization"]
            headers = {} if credential is None else {"authorization": credential.encode("latin-1")}
            response = await client.request(method, path, headers=headers, content=b"")
            assert response.status_code == 401
            assert msgspec.msgpack.decode(response.content, type=ErrorReply).code == "unauthorized"
            assert SECRET not in response.text
            assert (await client.get("/health/live", headers=headers)).status_code == 200
            assert runtime.status().models == []

    run(work())


def test_every_route_but_those_about_health_has_the_guard(served, run):
    async def work():
        async with served() as (_, runtime):
            app = create_engine_app(runtime)
            public = [
                route.path for route in app.routes for handler in route.route_handlers if handler.opt.get("public")
            ]
            assert public == ["/health/live", "/health/ready"]
            assert all(handler.resolve_guards() for route in app.routes for handler in route.route_handlers)

    run(work())


def test_without_a_secret_everybody_on_the_machine_may_call(served, run):
    async def work():
        async with served(secret="") as (client, _):
            del client.headers["authorization"]
            assert (await client.get("/status")).status_code == 200

    run(work())


def test_without_a_secret_no_page_in_a_browser_on_the_machine_may_call(served, run):
    async def work():
        async with served(secret="") as (client, runtime):
            del client.headers["authorization"]
            for origin in ("https://example.org", "null", "http://localhost:9000"):
                for method, path in (("GET", "/status"), ("GET", "/metrics"), ("POST", "/load"), ("POST", "/unload")):
                    response = await client.request(method, path, headers={"origin": origin}, content=b"")
                    assert response.status_code == 401
            assert runtime.status().models == []

    run(work())


def test_errors_have_the_wires_own_shape_and_their_status(served, run, build_checkpoint):
    good = build_checkpoint("good")
    ref = good.ref()
    broken = build_checkpoint("broken")
    (broken.folder / "model.safetensors").write_bytes(b"junk")

    async def work():
        async with served(memory_budget=1_000_000) as (client, _):

            async def refused(path, message):
                status, error = await call(client, path, message)
                return status, error.code

            assert await refused("/embed", EmbedRequest(model=ref, inputs=[])) == (400, "bad_request")
            assert await refused("/embed", {"inputs": ["x"]}) == (400, "bad_request")
            assert await refused("/embed", EmbedRequest(model=broken.ref(), inputs=["x"])) == (422, "model_invalid")
            nowhere = EmbedRequest(model=ModelRef(id="n", source="/nowhere"), inputs=["x"])
            assert await refused("/embed", nowhere) == (404, "model_not_found")
            starter = ModelRef(id="s", source="sentence-transformers/all-MiniLM-L6-v2")
            assert await refused("/load", ModelRequest(model=starter)) == (422, "model_too_large")
            narrow = EmbedRequest(model=ref, inputs=["w1"], dimensions=5)
            assert await refused("/embed", narrow) == (400, "dimensions_unsupported")
            assert await refused("/nowhere", narrow) == (404, "not_found")
            assert await refused("/status", narrow) == (404, "not_found")
            long = EmbedRequest(model=ref, inputs=["w1", "w1 " * 50], truncate=False)
            status, error = await call(client, "/embed", long)
            assert (status, error) == (
                400,
                ErrorReply("input_too_long", error.message, index=1, limit=40, actual=52),
            )
            for junk in (b"", b"\xc1", b"\x81\xa6inputs\x91\xa2\xff\xfe", b"{}"):
                response = await client.post("/embed", content=junk)
                assert response.status_code == 400
                assert msgspec.msgpack.decode(response.content, type=ErrorReply).code == "bad_request"
            assert (await call(client, "/embed", EmbedRequest(model=ref, inputs=["w1"]), EmbedReply))[0] == 200

    run(work())


def test_a_body_of_32_mib_is_read_and_one_beyond_the_limit_is_not(served, run, build_checkpoint):
    ref = build_checkpoint().ref()

    async def work():
        async with served() as (client, _):
            big = EmbedRequest(model=ref, inputs=["w1 " * (32 * 1024 * 1024 // 3)])
            status, reply = await call(client, "/embed", big, EmbedReply)
            assert (status, reply.truncated) == (200, [0])
            response = await client.post("/embed", content=bytes(MAX_BODY_BYTES + 1))
            assert response.status_code == 413
            assert msgspec.msgpack.decode(response.content, type=ErrorReply).code == "bad_request"

    run(work())


def test_a_bug_is_a_typed_error_without_its_text_and_the_node_lives(served, run, build_checkpoint, capsys):
    ref = build_checkpoint().ref()

    async def broken(_):
        raise ValueError("private detail")

    async def work():
        async with served() as (client, runtime):
            whole, runtime.embed = runtime.embed, broken
            status, error = await call(client, "/embed", EmbedRequest(model=ref, inputs=["w1"]))
            assert (status, error.code) == (500, "inference_failed")
            assert "private" not in error.message
            runtime.embed = whole
            assert (await call(client, "/embed", EmbedRequest(model=ref, inputs=["w1"]), EmbedReply))[0] == 200

    run(work())


def test_the_work_of_a_client_that_disconnects_is_cancelled(served, run, build_checkpoint, caplog):
    ref = build_checkpoint().ref()
    began, ended = asyncio.Event(), []

    async def endless(_):
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def work():
        async with served() as (client, runtime):
            whole, runtime.embed = runtime.embed, endless
            message = EmbedRequest(model=ref, inputs=["w1"])
            leaving = asyncio.create_task(call(client, "/embed", message))
            await began.wait()
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            while not ended:
                await asyncio.sleep(0.005)
            runtime.embed = whole
            assert (await call(client, "/embed", message, EmbedReply))[0] == 200
            exposed = (await client.get("/metrics")).text
            assert 'shoal_engine_requests_total{call="embed",code="disconnected"} 1.0' in exposed

    run(work())
    assert not caplog.records


def test_a_caller_who_waits_no_longer_is_told_so(served, run, build_checkpoint):
    ref = build_checkpoint().ref()

    async def work():
        async with served() as (client, _):
            await call(client, "/load", ModelRequest(model=ref), NodeStatus)
            status, error = await call(client, "/embed", EmbedRequest(model=ref, inputs=["w1"], patience=0.0))
            assert (status, error.code, error.retry_after) == (504, "deadline_passed", None)

    run(work())


def test_a_draining_node_says_so(served, run, build_checkpoint):
    ref = build_checkpoint().ref()

    async def work():
        async with served() as (client, runtime):
            await runtime.drain()
            status, error = await call(client, "/embed", EmbedRequest(model=ref, inputs=["w1"]))
            assert (status, error.code) == (503, "draining")
            assert error.retry_after
            node = msgspec.msgpack.decode((await client.get("/status")).content, type=NodeStatus)
            assert node.ready is False
            assert (await client.get("/health/live")).status_code == 200

    run(work())


def test_metrics_tell_what_happened(served, run, build_checkpoint):
    ref = build_checkpoint().ref()

    async def work():
        async with served(memory_budget=1_000_000) as (client, _):
            await call(client, "/embed", EmbedRequest(model=ref, inputs=["w1", "w2 w3"]), EmbedReply)
            await call(client, "/embed", EmbedRequest(model=ref, inputs=[]))
            await call(client, "/unload", ModelRequest(model=ref), NodeStatus)
            response = await client.get("/metrics")
            assert response.headers["content-type"].startswith("text/plain")
            lines = set(response.text.splitlines())
            assert {
                'shoal_engine_requests_total{call="embed",code="ok"} 1.0',
                'shoal_engine_requests_total{call="embed",code="bad_request"} 1.0',
                'shoal_engine_request_seconds_count{call="embed"} 2.0',
                'shoal_engine_tokens_total{lane="interactive"} 7.0',
                "shoal_engine_batch_tokens_sum 7.0",
                "shoal_engine_batch_sequences_sum 2.0",
                "shoal_engine_batch_seconds_count 1.0",
                'shoal_engine_loads_total{outcome="resident"} 1.0',
                "shoal_engine_evictions_total 1.0",
                "shoal_engine_memory_budget_bytes 1e+06",
                "shoal_engine_memory_used_bytes 0.0",
                'shoal_engine_models{tier="device"} 0.0',
                'shoal_engine_waiting_tokens{lane="interactive"} 0.0',
                "shoal_engine_waiting_requests 0.0",
                "shoal_engine_ready 1.0",
            } <= lines

    run(work())
