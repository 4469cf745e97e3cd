import asyncio
import json
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from admin_ui.inspections import InspectionRefused
from shoal.console_inspection import inspect_adapter_apart, inspect_apart

pytestmark = pytest.mark.anyio
STARTER = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_look_tells_what_the_command_tells_from_a_process_of_its_own() -> None:
    loaded = set(sys.modules)
    found = await inspect_apart(STARTER, None)
    assert (found.facts.family, found.facts.native, found.dimensions, found.input_limit) == ("bert", True, 384, 256)
    assert found.resident_bytes["float32"] > found.resident_bytes["bfloat16"] > 0
    assert {name for name in sys.modules if name.startswith("torch")} <= loaded


async def test_what_can_not_be_served_is_refused_with_its_code_and_reason(tmp_path) -> None:
    with pytest.raises(InspectionRefused, match="There is no folder") as refused:
        await inspect_apart(str(tmp_path / "--nowhere"), None)
    assert refused.value.code == "model_not_found"
    with pytest.raises(InspectionRefused, match="is no model folder"):
        await inspect_apart(str(tmp_path), None)


async def test_a_look_that_nobody_waits_for_ends_with_its_process(monkeypatch) -> None:
    started = []
    begin = asyncio.create_subprocess_exec

    async def noting(*words, **options):
        started.append(await begin(*words, **options))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noting)
    look = asyncio.create_task(inspect_apart(STARTER, None))
    while not started:
        await asyncio.sleep(0.01)
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert started[0].returncode is not None


async def test_an_adapter_is_held_against_its_model_and_described(tmp_path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}))
    stem = "base_model.model.encoder.layer.0.attention.self.query"
    file = tmp_path / "adapter_model.safetensors"
    ones = {f"{stem}.lora_A.weight": np.ones((2, 384), "f4"), f"{stem}.lora_B.weight": np.ones((384, 2), "f4")}
    save_file(ones, file)
    found = await inspect_adapter_apart(STARTER, None, str(tmp_path))
    assert (found.adapter, found.rank, found.modules, found.bytes) == (str(tmp_path), 2, 1, 2 * 2 * 384 * 4)
    save_file({"x.lora_A.weight": np.ones((2, 3), "f4"), "x.lora_B.weight": np.ones((3, 2), "f4")}, file)
    with pytest.raises(InspectionRefused, match="changes x, which its base does not have"):
        await inspect_adapter_apart(STARTER, None, str(tmp_path))
