import gc
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engine.catalog import describe
from engine.device import open_device
from engine.encoded import Encoded
from engine.errors import CheckpointCorrupt
from engine.heads.vectors import stacked
from engine.loading.loaded import load_model, plan_model
from engine.memory.buffers import HostBuffer, device_memory, map_memory, to_device, to_host
from engine.memory.layout import ALIGNMENT, lay_out
from engine.settings import EngineSettings


@pytest.fixture
def device():
    return open_device(EngineSettings(device="cpu"))


SHAPES = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=3), min_size=1, max_size=8)


@given(SHAPES, st.sampled_from((torch.float32, torch.bfloat16)))
def test_parameters_lie_side_by_side_aligned_and_apart(shapes, dtype):
    blank = nn.ParameterList([nn.Parameter(torch.empty(shape, device="meta", dtype=dtype)) for shape in shapes])
    layout = lay_out(blank, dtype)
    assert list(layout.shapes.values()) == [tuple(shape) for shape in shapes]
    flat = torch.zeros(layout.bytes, dtype=torch.uint8)
    views = layout.views(flat)
    for value, view in enumerate(views.values(), start=1):
        assert (view.data_ptr() - flat.data_ptr()) % ALIGNMENT == 0
        assert view.is_contiguous()
        view.fill_(value)
    for value, view in enumerate(views.values(), start=1):
        assert (view == value).all()
    numbers = sum(map(math.prod, shapes))
    assert numbers * dtype.itemsize <= layout.bytes < numbers * dtype.itemsize + len(shapes) * ALIGNMENT


def test_networks_over_two_buffers_share_no_weights(build_checkpoint, device):
    first, second = (
        load_model(describe(build_checkpoint(name, seed=seed).folder), device, torch.float32)
        for seed, name in enumerate(("a", "b"))
    )
    ids = [Encoded(np.arange(9, dtype=np.int32))]
    expected = [stacked(model.run(model.pack(ids))) for model in (first, second)]
    rebound = first.layout.bind(second.weights)
    assert {parameter.device.type for parameter in first.layout.blank.parameters()} == {"meta"}
    batch = first.pack(ids)
    with torch.inference_mode():
        hidden = rebound.body(batch.tokens).mean(0)
    np.testing.assert_allclose(hidden / hidden.norm(), expected[1][0], atol=1e-5)
    np.testing.assert_array_equal(stacked(first.run(batch)), expected[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_is_the_same_after_it_was_in_host_memory(build_checkpoint, device, dtype):
    model = load_model(describe(build_checkpoint().folder), device, dtype)
    ids = [Encoded(np.arange(length, dtype=np.int32)) for length in (3, 17, 3)]
    expected = stacked(model.run(model.pack(ids)))
    copy = model.to_host()
    del model
    for _ in range(2):  # a copy serves any number of returns
        back = copy.to_device()
        np.testing.assert_array_equal(stacked(back.run(back.pack(ids))), expected)
    assert copy.bytes >= back.layout.bytes


def test_bytes_come_and_go_whole(device):
    buffer = HostBuffer(1000, device)
    buffer.flat.copy_(torch.arange(1000) % 251)
    with to_device(buffer, device) as flat:
        pass
    assert flat.data_ptr() != buffer.flat.data_ptr()
    assert torch.equal(to_host(flat, device).flat, buffer.flat)
    assert torch.equal(device_memory(10, device), torch.zeros(10, dtype=torch.uint8))


def test_memory_that_the_system_does_not_have_is_a_memory_error():
    with pytest.raises(MemoryError, match="does not give"):
        map_memory(2**60)


def test_memory_goes_back_to_the_system_with_its_last_holder():
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    size = 64 * 2**20
    map_memory(size).fill_(1)  # what torch loads and starts the first time stays
    before = resident()
    flat = map_memory(size).fill_(1)
    held = resident() - before
    view = flat[5:].view(-1)
    del flat
    assert resident() - before > 0.9 * held
    del view
    gc.collect()
    assert abs(held - size) < 2 * 2**20
    assert resident() - before < 2 * 2**20


def test_a_file_that_is_cut_off_after_its_header_was_read(build_checkpoint, device):
    file = build_checkpoint().folder / "model.safetensors"
    plan = plan_model(describe(file.parent), device, torch.float32)
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(CheckpointCorrupt, match=r"model\.safetensors was cut off"):
        plan.load()


def test_a_model_is_said_to_take_what_the_process_grows_by(starter):
    code = f"""
import torch
from pathlib import Path
from engine.catalog import describe
from engine.device import give_back_memory, open_device
from engine.loading.loaded import plan_model
from engine.settings import EngineSettings

def resident():
    give_back_memory(device)
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

device = open_device(EngineSettings(device="cpu"))
plan = plan_model(describe(Path({str(starter)!r})), device, torch.float32)
first = plan.load()
before = resident()
second = plan.load()
loaded = resident()
copy = second.to_host()
print(plan.bytes, loaded - before, resident() - loaded, copy.layout.bytes)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    reported, grown, copied, flat = map(int, said.stdout.split())
    assert reported == pytest.approx(grown, rel=0.05)
    assert flat == pytest.approx(copied, rel=0.05)
