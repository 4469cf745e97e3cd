from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from admin_ui import throttle
from admin_ui.throttle import PER_ADDRESS, PER_NAME, SignInThrottle
from gateway.db.session import Database

pytestmark = pytest.mark.anyio
KEY = b"k" * 32


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def tries(database: Database, clock: Clock) -> SignInThrottle:
    return SignInThrottle(database, KEY, clock)


async def test_a_name_from_one_address_has_a_burst_and_then_one_try_a_minute(tries, clock) -> None:
    assert [await tries.admit("ada", "10.0.0.1") for _ in range(PER_NAME.burst)] == [0.0] * PER_NAME.burst
    assert await tries.admit("ada", "10.0.0.1") == PER_NAME.seconds_each
    clock.now += PER_NAME.seconds_each
    assert await tries.admit("ada", "10.0.0.1") == 0.0
    assert await tries.admit("ada", "10.0.0.1") == PER_NAME.seconds_each
    assert await tries.admit("bob", "10.0.0.1") == 0.0


async def test_the_name_from_another_address_is_free(tries) -> None:
    for n in range(3 * PER_NAME.burst):
        await tries.admit("ada", f"10.0.0.{n % 3}")
    assert await tries.admit("ada", "10.0.1.1") == 0.0


async def test_an_address_has_a_burst_over_all_names(tries) -> None:
    assert [await tries.admit(f"name-{n}", "10.0.0.1") for n in range(PER_ADDRESS.burst)] == [0.0] * PER_ADDRESS.burst
    assert await tries.admit("another", "10.0.0.1") == PER_ADDRESS.seconds_each
    assert await tries.admit("another", "10.0.0.2") == 0.0


async def test_a_network_of_ipv6_counts_as_one_address(tries) -> None:
    for n in range(PER_ADDRESS.burst):
        await tries.admit(f"name-{n}", f"2001:db8::{n:x}")
    assert await tries.admit("another", "2001:db8:0:0:ffff::1") > 0
    assert await tries.admit("another", "2001:db8:0:1::1") == 0.0


async def test_a_refused_try_does_not_count(tries, clock) -> None:
    for _ in range(PER_NAME.burst + 50):
        await tries.admit("ada", "10.0.0.1")
    clock.now += PER_NAME.seconds_each
    assert await tries.admit("ada", "10.0.0.1") == 0.0


async def test_the_right_password_takes_its_try_back(tries) -> None:
    for _ in range(2 * PER_ADDRESS.burst):
        assert await tries.admit("ada", "10.0.0.1") == 0.0
        await tries.forgive("ada", "10.0.0.1")


@pytest.mark.parametrize("jump", [-400, -1e9])
async def test_a_clock_that_was_put_back_gives_no_tries_and_locks_nobody_out(tries, clock, jump) -> None:
    for _ in range(PER_NAME.burst):
        await tries.admit("ada", "10.0.0.1")
    clock.now += jump
    assert 0 < await tries.admit("ada", "10.0.0.1") <= PER_NAME.seconds_each


async def test_what_is_kept_is_bounded_and_what_is_in_use_stays(tries, clock, database, monkeypatch) -> None:
    monkeypatch.setattr(throttle, "MOST_KEPT", 20)
    for _ in range(PER_NAME.burst):
        await tries.admit("ada", "10.0.0.1")
    for n in range(60):
        clock.now += 0.2
        await tries.admit(f"name-{n}", f"10.1.0.{n}")
    assert await tries.admit("ada", "10.0.0.1") > 0
    clock.now += 1
    await tries.admit("last", "10.2.0.1")
    clock.now += 3600
    await tries.admit("much later", "10.2.0.1")
    async with database.reading() as session:
        assert (await session.execute(text("SELECT count(*) FROM sign_in_try"))).scalar_one() <= 2
