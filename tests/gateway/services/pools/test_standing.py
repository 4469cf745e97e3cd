"""How nodes stand: by what they say, by whether they answer, and by how calls end there."""

import asyncio
import time

import msgspec
import pytest

from engine.protocol import PROTOCOL_VERSION
from gateway.errors import EngineFailed, EngineGone, Unavailable
from gateway.services.pools.node import Member


def speaking(engine, protocol, *, without=(), **more):
    """What a node of another version says: fields that are not known here, and none of those that it knows not."""
    said = msgspec.to_builtins(engine.status())
    return {name: value for name, value in said.items() if name not in without} | {"protocol": protocol} | more


OLDER = {"protocol": PROTOCOL_VERSION - 1, "without": ("oldest_protocol", "instance", "bulk_waiting_tokens")}
NEWER = {"protocol": PROTOCOL_VERSION + 1, "oldest_protocol": PROTOCOL_VERSION, "new_field": {"of": ["any", "kind"]}}


@pytest.mark.parametrize("version", [OLDER, NEWER], ids=["older", "newer"])
def test_a_node_of_a_neighbouring_version_is_served(following, fake_engine, until, version):
    async def run():
        async with fake_engine() as engine:
            said = speaking(engine, **version)
            engine.status = lambda: said
            async with following(engine.url) as fleet:
                await until(lambda: fleet.node().healthy)
                assert (await fleet.embed()).token_counts == [3]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("version", "who"),
    [
        ({"protocol": PROTOCOL_VERSION - 2}, "the node"),
        ({"protocol": PROTOCOL_VERSION + 2, "oldest_protocol": PROTOCOL_VERSION + 1}, "the gateway"),
        ({"protocol": PROTOCOL_VERSION + 2, "oldest_protocol": None}, "the gateway"),
    ],
)
def test_a_node_two_versions_apart_is_refused_and_says_who_is_behind(following, fake_engine, until, version, who):
    async def run():
        async with fake_engine() as engine:
            said = speaking(engine, **version)
            engine.status = lambda: said
            async with following(engine.url, pool_patience=0.05) as fleet:
                await until(lambda: fleet.node().status is not None)
                assert not fleet.node().healthy
                assert f"update {who}" in fleet.node().failure
                with pytest.raises(Unavailable):
                    await fleet.embed()
                assert engine.calls == 0

    asyncio.run(run())


def test_one_bad_look_loses_no_node(following, fake_engine, until):
    async def run():
        async with fake_engine() as engine, following(engine.url) as fleet:
            await until(lambda: fleet.node().healthy)
            answer, looks = engine.answer, []

            def stumbling(path, authorization, body):
                looks.append(path)
                if len(looks) == 2:
                    raise ConnectionAbortedError
                return answer(path, authorization, body)

            engine.answer = stumbling
            while len(looks) < 4:
                assert fleet.node().healthy
                await asyncio.sleep(0.001)

    asyncio.run(run())


def test_a_node_that_says_it_drains_is_left_at_once_and_not_blamed(following, fake_engine, refusing, until):
    async def run():
        async with (
            fake_engine(holding="m") as one,
            fake_engine() as two,
            following(one.url, two.url, poll_interval=60) as fleet,
        ):
            await until(lambda: fleet.pool.healthy == 2)
            one.answer = refusing(one, "draining", 503)
            for _ in range(5):
                assert (await fleet.embed()).token_counts == [3]
            assert (one.calls, two.calls) == (1, 5)
            left = next(node for node in fleet.pool if node.url == one.url)
            assert (left.failure, left.state) == ("draining", "away")
            assert left.breaker.open_until is None

    asyncio.run(run())


def test_where_calls_fail_again_and_again_the_circuit_opens_until_a_trial_succeeds(
    following, fake_engine, refusing, until
):
    async def run():
        async with (
            fake_engine(holding="m") as bad,
            fake_engine() as good,
            following(bad.url, good.url) as fleet,
        ):
            await until(lambda: fleet.pool.healthy == 2)
            answer, bad.answer = bad.answer, refusing(bad, "inference_failed", 500)
            for _ in range(5):
                with pytest.raises(EngineFailed):
                    await fleet.embed()
            node = next(node for node in fleet.pool if node.url == bad.url)
            assert node.state == "open"
            calls = bad.calls
            assert (await fleet.embed()).token_counts == [3]
            assert bad.calls == calls
            bad.answer = answer
            await until(lambda: node.healthy)
            assert (await fleet.embed()).token_counts == [3]
            await until(lambda: node.breaker.open_until is None)

    asyncio.run(run())


def test_an_open_circuit_stops_nobody_where_there_is_no_other_node(following, fake_engine, refusing, until):
    async def run():
        async with fake_engine() as engine, following(engine.url) as fleet:
            await until(lambda: fleet.node().healthy)
            answer, engine.answer = engine.answer, refusing(engine, "inference_failed", 500)
            for _ in range(20):
                with pytest.raises(EngineFailed):
                    await fleet.embed("poison of one caller")
            engine.answer = answer
            assert (await fleet.embed("a text of another one")).token_counts == [7]

    asyncio.run(run())


def test_nothing_is_tried_again_after_the_callers_deadline(following, fake_engine, until):
    async def run():
        async with fake_engine() as one, fake_engine() as two, following(one.url, two.url) as fleet:
            await until(lambda: fleet.pool.healthy == 2)
            tries = []

            async def late(node, seconds):
                tries.append(node)
                ends = time.monotonic() + seconds
                while time.monotonic() <= ends:
                    pass
                raise EngineGone("It broke off.", retry_after=1.0)

            with pytest.raises(Unavailable):
                await fleet.nodes.run("default", "m", late, patience=0.1)
            assert len(tries) == 1

    asyncio.run(run())


def test_looks_at_a_thousand_nodes_are_spread_and_bounded(following, until):
    class Slow:
        now = most = looks = 0

        async def status(self, address, patience):
            self.now += 1
            self.looks += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.05)
            self.now -= 1
            raise EngineGone("Nobody is there.")

    async def run():
        slow = Slow()
        async with following() as fleet:
            fleet.nodes.set_pool("default", [Member(f"n{i}", f"http://n{i}", slow) for i in range(1000)])
            await until(lambda: slow.looks >= 1000, 10)
            assert slow.most <= 256

    asyncio.run(run())
