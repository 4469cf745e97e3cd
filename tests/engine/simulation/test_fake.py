import asyncio

import pytest

from engine.simulation.fake import FakeMachine, FakeSpec, fake_tokens
from engine.simulation.virtual_time import run

SPEC = FakeSpec(100, load_seconds=3.0, restore_seconds=0.5, seconds_per_token=0.01, seconds_per_batch=1.0, number=7)


def test_the_ledger_counts_what_python_still_holds():
    async def main():
        machine = FakeMachine()
        model = await machine.work(lambda: machine.load(SPEC))
        other = model
        del model
        assert machine.device.held == 100
        del other
        assert machine.device.held == 0
        assert machine.device.peak == 100

    run(main())


def test_a_model_goes_to_host_memory_and_back():
    async def main():
        machine = FakeMachine()
        model = await machine.work(lambda: machine.load(SPEC))
        copy = await machine.work(model.to_host)
        assert (machine.device.held, machine.host.held) == (0, 100)
        with pytest.raises(AssertionError, match="not on the device"):
            await machine.run(model, [fake_tokens(3)])
        back = await machine.work(copy.to_device)
        assert (machine.device.held, machine.host.held) == (100, 100)
        assert (machine.loads, machine.restores) == (1, 1)
        del copy
        assert machine.host.held == 0
        assert back.bytes == 100

    run(main())


def test_a_batch_takes_its_declared_time_and_answers_for_each_text():
    async def main():
        running = []
        machine = FakeMachine(pack_seconds=0.25, on_running=running.append)
        model = machine.load(SPEC)
        rows = await machine.run(model, await machine.pack(model, [fake_tokens(20, first=5), fake_tokens(30, first=6)]))
        assert [row["dense"].tolist() for row in rows] == [[7, 5, 20], [7, 6, 30]]
        assert running == [1, 0]
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(0.25 + 1.0 + 0.5)


def test_a_batch_above_the_declared_memory_runs_out_of_it():
    async def main():
        machine = FakeMachine(memory_tokens=10)
        with pytest.raises(MemoryError):
            await machine.run(machine.load(SPEC), [fake_tokens(11)])

    run(main())
