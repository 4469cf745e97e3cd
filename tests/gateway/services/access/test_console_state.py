import asyncio

import pytest
from sqlalchemy import text

from gateway.services.access.sessions import end_session, forget_ended, has_ended
from gateway.services.access.sign_in_tries import Allowance, count_try, forget_tries, forgive_try

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000.0
COUNTS = ((b"a" * 32, Allowance(3, 60.0)), (b"b" * 32, Allowance(10, 10.0)))


@pytest.fixture
def change(database):
    async def call(service, *arguments):
        async with database.transaction() as session:
            return await service(session, *arguments)

    return call


async def test_an_ended_session_stays_ended_until_it_would_be_over(change, read) -> None:
    assert not await read(has_ended, "one")
    for _ in range(2):
        await change(end_session, "one", NOW + 100)
    await change(forget_ended, NOW + 99)
    assert await read(has_ended, "one")
    assert not await read(has_ended, "another")
    await change(forget_ended, NOW + 100)
    assert not await read(has_ended, "one")


async def test_tries_count_in_all_or_none(change) -> None:
    assert [await change(count_try, COUNTS, NOW) for _ in range(4)] == [0.0, 0.0, 0.0, 60.0]
    assert [await change(count_try, COUNTS[1:], NOW) for _ in range(8)] == [0.0] * 7 + [10.0]


async def test_a_try_that_is_forgiven_is_free_again(change) -> None:
    for _ in range(3):
        await change(count_try, COUNTS, NOW)
    await change(forgive_try, COUNTS, NOW)
    assert await change(count_try, COUNTS, NOW) == 0.0
    assert await change(count_try, COUNTS, NOW) == 60.0


async def test_tries_at_the_same_time_are_counted_each(change) -> None:
    turned = tuple(reversed(COUNTS))
    waits = await asyncio.gather(*(change(count_try, COUNTS if n % 2 else turned, NOW) for n in range(10)))
    assert sorted(waits) == [0.0] * 3 + [60.0] * 7


async def test_what_is_drained_is_forgotten_and_of_the_rest_the_most_is_kept(change, database) -> None:
    for n in range(6):
        await change(count_try, ((bytes([n]) * 32, Allowance(5, 10.0 * (n + 1))),), NOW)
    await change(forget_tries, NOW + 20.0, 3)
    async with database.reading() as session:
        kept = (await session.execute(text("SELECT subject FROM sign_in_try ORDER BY subject"))).scalars().all()
    assert [bytes(subject)[0] for subject in kept] == [3, 4, 5]
