"""Pinned models come to nodes that appear later."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from engine.protocol import ErrorReply, ModelRequest, ResidentModel
from gateway.services.pools import pins
from gateway.services.pools.pins import Pins
from gateway.services.snapshot.entries import ModelEntry, PolicySnapshot


def entry(name, *, pinned=True, pool="default"):
    return ModelEntry(name, (), f"source of {name}", None, pool, None, None, pinned, 0, None, None)


def snapshot(*models):
    return SimpleNamespace(current=PolicySnapshot(models={model.id: model for model in models}))


@pytest.fixture
def loading():
    """Have a fake engine load what it is told to, and remember it."""

    def make(engine):
        engine.loaded, engine.refusals = [], 0
        answer, status = engine.answer, engine.status

        def held(name, pinned):
            return ResidentModel(name, None, "resident", 1, 0, pinned, 0.0, 4, 8)

        def load(path, authorization, body):
            if path == b"/load":
                if engine.refusals:
                    engine.refusals -= 1
                    return 507, msgspec.msgpack.encode(ErrorReply("model_too_large", "No room.")), 0.0
                engine.loaded.append(msgspec.msgpack.decode(body, type=ModelRequest).model)
            return answer(path, authorization, body)

        engine.answer = load
        engine.status = lambda: msgspec.structs.replace(
            status(), models=[held(model.id, model.pinned) for model in engine.loaded]
        )
        return engine

    return make


def test_every_node_gets_the_pinned_models_of_its_pool_once_whenever_it_appears(following, fake_engine, loading, until):
    async def run():
        feed = snapshot(entry("a"), entry("b"), entry("c", pinned=False), entry("d", pool="other"))
        async with fake_engine() as one, fake_engine() as late:
            loading(one), loading(late)
            late.ready = False
            async with following(one.url, late.url) as fleet:
                keeper = Pins(fleet.nodes, feed, interval=0.02)
                await until(lambda: [model.id for model in one.loaded] == ["a", "b"])
                assert all(model.pinned for model in one.loaded)
                assert late.loaded == []
                late.ready = True
                await until(lambda: [model.id for model in late.loaded] == ["a", "b"])
                one.loaded.clear()  # started anew
                await until(lambda: [model.id for model in one.loaded] == ["a", "b"])
                await asyncio.sleep(0.1)
                assert len(one.loaded) == len(late.loaded) == 2
                await keeper.close()

    asyncio.run(run())


def test_a_node_that_can_not_is_asked_again_after_a_pause(following, fake_engine, loading, until, monkeypatch):
    monkeypatch.setattr(pins, "FIRST_PAUSE", 0.1)

    async def run():
        async with fake_engine() as engine, following(engine.url) as fleet:
            loading(engine).refusals = 1
            keeper = Pins(fleet.nodes, snapshot(entry("a")), interval=0.02)
            began = asyncio.get_running_loop().time()
            await until(lambda: engine.loaded)
            assert asyncio.get_running_loop().time() - began >= 0.1
            await keeper.close()

    asyncio.run(run())


def test_what_is_pinned_no_more_at_the_second_look_is_left_alone(following, fake_engine, loading, until):
    async def run():
        async with fake_engine() as engine, following(engine.url) as fleet:
            loading(engine)
            feed = snapshot(entry("a"))
            keeper = Pins(fleet.nodes, feed, interval=3600)
            await until(lambda: fleet.node().healthy)
            await keeper.look()
            feed.current = PolicySnapshot(models={"a": entry("a", pinned=False)})
            await keeper.look()
            await asyncio.sleep(0.05)
            assert engine.loaded == []
            await keeper.close()

    asyncio.run(run())
