"""A directory of nodes and fake engines on real sockets."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import msgspec
import pytest

from benchmarks.fake_engine import FakeEngine, serve
from engine.protocol import ErrorReply, ResidentModel
from gateway.engine_client import EmbedRequest, EngineClient, ModelRef
from gateway.services.pools.directory import NodeDirectory
from gateway.services.pools.patience import Patience
from gateway.transport import AsyncioTransport


@pytest.fixture
def following():
    """A directory with one pool of these nodes, and `embed(text)` through it."""

    @asynccontextmanager
    async def follow(*urls, secret="", transport=None, pool_patience=5.0, pool_waiting=1000, **options):
        async with AsyncExitStack() as stack:
            engines = EngineClient(transport or AsyncioTransport(), secret)
            stack.push_async_callback(engines.close)
            patience = Patience(seconds=pool_patience, of_pools={"brisk": 0.05}, most_waiting=pool_waiting)
            chosen = {"poll_interval": 0.05, "patience": patience, "request_timeout": 10.0} | options
            nodes = NodeDirectory(engines.for_service, {"default": urls}, **chosen)
            nodes.start()
            stack.push_async_callback(nodes.close)

            async def embed(text="x", pool="default", patience=None):
                request = EmbedRequest(ModelRef("m", "m"), [text])
                return await nodes.run(
                    pool, "m", lambda node, left: node.client.embed(node.url, request, left), patience=patience
                )

            yield SimpleNamespace(
                nodes=nodes,
                engines=engines,
                embed=embed,
                node=lambda index=0: nodes.nodes[index],
                pool=nodes.pools["default"],
            )

    return follow


@pytest.fixture
def fake_engine():
    """An engine node on loopback."""

    @asynccontextmanager
    async def start(port=0, host="127.0.0.1", holding=None, **options):
        engine = FakeEngine(dimensions=4, **options)
        if holding is not None:
            held = [ResidentModel(holding, None, "resident", 1, 0, False, 0.0, 4, 8)]
            say = engine.status
            engine.status = lambda: msgspec.structs.replace(say(), models=held)
        async with await serve(engine, port=port, host=host) as server:
            engine.port = server.sockets[0].getsockname()[1]
            engine.url = f"http://{host}:{engine.port}"
            engine.close = server.close
            yield engine

    return start


@pytest.fixture
def refusing():
    """What a fake engine's `answer` is to become so that it refuses all work and says still how it is."""

    def refuse(engine, code, status=429):
        answer = engine.answer

        def answer_so(path, authorization, body):
            if path == b"/status":
                return answer(path, authorization, body)
            engine.calls += 1
            return status, msgspec.msgpack.encode(ErrorReply(code, "Told to.", retry_after=1.5)), 0.0

        return answer_so

    return refuse


@pytest.fixture
def until():
    """Wait for a condition, for five seconds at most."""

    async def wait(condition, seconds=5):
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)

    return wait
