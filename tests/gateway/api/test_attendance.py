import asyncio

import pytest

from gateway.api.attendance import Attended
from gateway.errors import ClientGone


class Connection:
    """A `receive` that says `http.disconnect` once told to."""

    def __init__(self):
        self.left = asyncio.Event()

    async def __call__(self):
        await self.left.wait()
        return {"type": "http.disconnect"}


def test_work_whose_client_stays_ends_by_itself():
    async def run():
        with Attended(Connection()):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_nobody_listens_to_the_client_of_work_that_is_done_soon():
    async def receive():
        heard.append(True)
        await asyncio.Event().wait()

    async def run():
        with Attended(receive):
            await asyncio.sleep(0)
        assert not heard
        with Attended(receive):
            while not heard:
                await asyncio.sleep(0.001)

    heard = []
    asyncio.run(run())


def test_work_whose_client_leaves_is_undone_and_says_so():
    undone = []

    async def run():
        connection = Connection()

        async def work():
            with Attended(connection):
                try:
                    await asyncio.Event().wait()
                finally:
                    undone.append(True)

        asyncio.get_running_loop().call_soon(connection.left.set)
        with pytest.raises(ClientGone):
            await work()
        await asyncio.sleep(0)
        assert asyncio.current_task().cancelling() == 0

    asyncio.run(run())
    assert undone == [True]


def test_a_cancellation_from_elsewhere_stays_one():
    async def run():
        async def work():
            with Attended(Connection()):
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_errors_of_the_work_pass_through():
    async def run():
        with pytest.raises(ZeroDivisionError), Attended(Connection()):
            raise ZeroDivisionError

    asyncio.run(run())
