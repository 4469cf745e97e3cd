"""Following nodes and sending to them, against fake engines on real sockets."""

import asyncio
import os
import signal
import sys
import time

import pytest
from msgspec import structs

from engine.protocol import ResidentModel
from gateway.errors import EngineFailed, EngineOverloaded, ModelUnusable, RequestError, Unavailable


def test_a_request_waits_for_a_node_that_is_still_starting(following, fake_engine, until):
    async def run():
        async with fake_engine() as first:
            port = int(first.url.rsplit(":", 1)[1])
        async with following(f"http://127.0.0.1:{port}") as fleet:
            waiting = asyncio.create_task(fleet.embed())
            await until(lambda: fleet.node().failure != "not asked yet")
            assert not waiting.done()
            async with fake_engine(port):
                assert (await waiting).token_counts == [3]

    asyncio.run(run())


def test_no_node_in_time_is_unavailable_and_says_when_to_come_back(following):
    async def run():
        async with following("http://127.0.0.1:1", pool_patience=0.05) as fleet:
            with pytest.raises(Unavailable) as caught:
                await fleet.embed()
            assert caught.value.retry_after >= 1
            assert caught.value.code == "no_engine_node"

    asyncio.run(run())


def test_where_models_are_on_a_node_is_known_by_tier(following, fake_engine, until):
    def held(tier):
        return ResidentModel(tier, None, "resident", 1, 0, False, 0.0, 4, 8, tier=tier)

    gone = structs.replace(held("failed"), adapter="b")
    adapters = [structs.replace(held("device"), adapter="a"), gone]

    async def run():
        async with fake_engine() as engine, following(engine.url) as fleet:
            status = structs.replace(
                engine.status(), models=[held(tier) for tier in ("device", "host", "loading", "failed")] + adapters
            )
            engine.status = lambda: status
            await until(lambda: fleet.node().facts().resident)
            assert fleet.node().facts().resident == {"device"}
            assert fleet.node().facts().loading == {"loading"}
            assert fleet.node().facts().restorable == {"host"}
            assert fleet.node().facts().adapters == {("device", "a")}

    asyncio.run(run())


def test_a_pool_that_nobody_configured_is_unavailable_at_once(following):
    async def run():
        async with following(pool_patience=60) as fleet:
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await fleet.embed(pool="unheard of")
            assert time.monotonic() - began < 5

    asyncio.run(run())


def test_a_request_whose_node_breaks_off_is_tried_on_another(following, fake_engine, until):
    async def run():
        async with fake_engine() as one, fake_engine() as two, following(one.url, two.url) as fleet:
            await until(lambda: all(node.healthy for node in fleet.nodes.nodes))
            with pytest.raises(Unavailable):
                await fleet.embed("__crash__")
            assert one.calls > 0
            assert two.calls > 0

    asyncio.run(run())


def test_a_node_that_broke_off_gets_no_requests_until_it_answers_again(following, fake_engine, until):
    async def run():
        async with fake_engine() as one, fake_engine() as two, following(one.url, two.url, poll_interval=60) as fleet:
            await until(lambda: all(node.healthy for node in fleet.nodes.nodes))
            await fleet.embed()
            favourite = one if one.calls else two
            favourite.answer = lambda *_: (_ for _ in ()).throw(ConnectionAbortedError)
            assert (await fleet.embed()).token_counts == [3]
            other = two if favourite is one else one
            calls = other.calls
            await fleet.embed()
            assert other.calls == calls + 1
            del favourite.answer
            await until(lambda: all(node.healthy for node in fleet.nodes.nodes))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("inference_failed", EngineFailed),
        ("bad_request", RequestError),
        ("model_invalid", ModelUnusable),
    ],
)
def test_what_a_node_answers_is_not_tried_again(code, kind, following, fake_engine, until):
    async def run():
        async with fake_engine() as one, fake_engine() as two, following(one.url, two.url) as fleet:
            await until(lambda: all(node.healthy for node in fleet.nodes.nodes))
            with pytest.raises(kind):
                await fleet.embed(f"__error {code}__")
            assert one.calls + two.calls == 1

    asyncio.run(run())


def test_what_one_node_is_too_full_for_another_may_do_and_nobody_is_asked_twice(
    following, fake_engine, refusing, until
):
    async def run():
        async with fake_engine() as one, fake_engine() as two, following(one.url, two.url) as fleet:
            await until(lambda: all(node.healthy for node in fleet.nodes.nodes))
            await fleet.embed()
            full, free = (one, two) if one.calls else (two, one)
            full.answer = refusing(full, "queue_full")
            assert (await fleet.embed()).token_counts == [3]
            free.answer = refusing(free, "queue_full")
            full.calls = free.calls = 0
            with pytest.raises(EngineOverloaded) as caught:
                await fleet.embed()
            assert caught.value.retry_after == 1.5
            assert (full.calls, free.calls) == (1, 1)
            assert all(node.healthy for node in fleet.nodes.nodes), "being full is no fault"

    asyncio.run(run())


def test_one_full_node_alone_is_not_asked_again(following, fake_engine, until):
    async def run():
        async with fake_engine() as engine, following(engine.url) as fleet:
            await until(lambda: fleet.node().healthy)
            with pytest.raises(EngineOverloaded):
                await fleet.embed("__error queue_full__")
            assert engine.calls == 1

    asyncio.run(run())


def test_a_node_that_hangs_is_given_up_at_the_deadline(following, fake_engine):
    async def run():
        async with fake_engine() as engine, following(engine.url, request_timeout=0.3) as fleet:
            began = time.monotonic()
            with pytest.raises(Unavailable) as caught:
                await fleet.embed("__sleep 30__")
            assert caught.value.code == "engine_timeout"
            assert time.monotonic() - began < 5
            assert fleet.node().in_flight == 0

    asyncio.run(run())


def test_requests_in_flight_are_counted_and_cancelled_ones_are_not(following, fake_engine, until):
    async def run():
        async with fake_engine() as engine, following(engine.url) as fleet:
            tasks = [asyncio.create_task(fleet.embed("__sleep 30__")) for _ in range(3)]
            await until(lambda: engine.calls == 3)
            assert fleet.node().in_flight == 3
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert fleet.node().in_flight == 0
            await until(lambda: engine.cancelled == 3)

    asyncio.run(run())


def test_a_wrong_secret_keeps_a_node_away_and_says_why(following, fake_engine, until):
    async def run():
        async with fake_engine(secret="right") as engine, following(engine.url, secret="wrong") as fleet:
            await until(lambda: fleet.node().failure != "not asked yet")
            assert not fleet.node().healthy
            assert "unauthorized" in fleet.node().failure

    asyncio.run(run())


def test_a_draining_node_is_left_alone(following, fake_engine, until):
    async def run():
        async with fake_engine() as one, fake_engine() as two, following(one.url, two.url) as fleet:
            one.ready = False
            await until(lambda: [node.healthy for node in fleet.nodes.nodes] == [False, True])
            for _ in range(5):
                await fleet.embed()
            assert (one.calls, two.calls) == (0, 5)

    asyncio.run(run())


async def start_process(port):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.fake_engine", "--port", str(port), stdout=asyncio.subprocess.PIPE
    )
    line = (await process.stdout.readline()).decode()
    return process, line.split()[-1]


def test_a_node_killed_under_load_loses_nobody_when_it_comes_back(following, until):
    async def run():
        process, url = await start_process(0)
        port = int(url.rsplit(":", 1)[1])
        async with following(url, pool_patience=20.0, request_timeout=30.0) as fleet:
            await until(lambda: fleet.node().healthy)
            under_way = [asyncio.create_task(fleet.embed("__sleep 0.5__")) for _ in range(20)]
            await until(lambda: fleet.node().in_flight == 20)
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            later = [asyncio.create_task(fleet.embed()) for _ in range(20)]
            process, _ = await start_process(port)
            replies = await asyncio.wait_for(asyncio.gather(*under_way, *later), 25)
            assert len(replies) == 40
            process.kill()
            await process.wait()

    asyncio.run(run())


def test_a_node_that_hangs_gives_up_what_it_holds_to_another(following, fake_engine, until):
    async def run():
        process, url = await start_process(0)
        async with fake_engine() as other, following(url, other.url, status_patience=0.2) as fleet:
            await until(lambda: fleet.node(0).healthy and fleet.node(1).healthy)
            other.ready = False
            await until(lambda: not fleet.node(1).healthy)
            held = asyncio.create_task(fleet.embed("__sleep 0.2__"))
            await until(lambda: fleet.node(0).in_flight == 1)
            os.kill(process.pid, signal.SIGSTOP)
            other.ready = True
            assert (await asyncio.wait_for(held, 8)).token_counts
            assert other.calls == 1
            assert not fleet.node(0).healthy
            process.kill()
            await process.wait()

    asyncio.run(run())
