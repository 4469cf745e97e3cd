"""Questions and answers both ways, and what becomes of them when one end goes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from shoal.workers.channel import Channel, ChannelClosed

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.asynccontextmanager
async def ends(answer) -> AsyncIterator[tuple[Channel, Channel, list]]:
    """Two ends, of which the second answers; and what it was told."""
    told: list = []
    left, right = socket.socketpair()
    one = await Channel.open(left, answer=answer)
    other = await Channel.open(right, answer=answer, notice=lambda word, body: told.append((word, body)))
    running = [asyncio.create_task(end.run()) for end in (one, other)]
    try:
        yield one, other, told
    finally:
        await one.close()
        await other.close()
        await asyncio.gather(*running)


async def test_answers_find_their_questions_in_whatever_order_they_come() -> None:
    async def answer(word: str) -> bytes:
        await asyncio.sleep(0.02 if word == "slow" else 0)
        return word.encode() * 100_000

    async with ends(answer) as (one, other, _):
        asked = [one.ask("slow", 5), other.ask("back", 5), *(one.ask(f"q{n}", 5) for n in range(50))]
        answers = await asyncio.gather(*asked)
    assert [len(content) for content in answers[:2]] == [400_000, 400_000]
    assert answers[2:] == [f"q{n}".encode() * 100_000 for n in range(50)]


async def test_a_notice_is_heard_in_order_and_not_answered() -> None:
    async def answer(word: str) -> bytes:
        return b""

    async with ends(answer) as (one, _, told):
        one.tell("serving")
        one.tell("metrics", b"numbers")
        await one.ask("anything", 5)
        assert told == [("serving", b""), ("metrics", b"numbers")]


async def test_who_takes_too_long_is_not_waited_for() -> None:
    at_last = asyncio.Event()

    async def answer(word: str) -> bytes:
        if word == "late":
            await at_last.wait()
        return b"here"

    async with ends(answer) as (one, _, _):
        with pytest.raises(TimeoutError):
            await one.ask("late", 0.05)
        assert await one.ask("now", 5) == b"here"
        at_last.set()
        assert await one.ask("now", 5) == b"here"


async def test_the_end_of_the_other_end_is_heard() -> None:
    async def answer(word: str) -> bytes:
        await asyncio.sleep(0)
        return b""

    left, right = socket.socketpair()
    channel = await Channel.open(left, answer=answer)
    running = asyncio.create_task(channel.run())
    asked = asyncio.create_task(channel.ask("anything", 30))
    await asyncio.sleep(0)
    right.close()
    with pytest.raises(ChannelClosed):
        await asked
    await running
    with pytest.raises(ChannelClosed):
        channel.tell("anything")
