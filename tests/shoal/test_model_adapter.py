"""`shoal model add BASE:NAME --adapter …`: an adapter registered beside its base, served from the base's memory."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gateway.engine_client import model_ref
from gateway.services.register import models

STARTER = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def adapter(tmp_path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}))
    stem = "base_model.model.encoder.layer.0.attention.self.query"
    matrices = {f"{stem}.lora_A.weight": torch.ones(2, 384), f"{stem}.lora_B.weight": torch.ones(384, 2)}
    save_file(matrices, folder / "adapter_model.safetensors")
    return folder


def test_an_adapter_is_its_base_with_a_name_of_its_own(shoal, stored, adapter) -> None:
    shoal("model", "add", STARTER, "--alias", "mini", "--pin", "--max-tokens", "99")
    shoal("model", "add", "mini:legal", "--adapter", str(adapter), "--alias", "legal")
    shown = shoal("model", "show", "legal", "--json").json
    assert (shown["facts"]["base"], shown["facts"]["adapter"]) == (STARTER, str(adapter))
    base, ours = (stored(models.find_model, name) for name in ("mini", "legal"))
    of_base, of_adapter = model_ref(base), model_ref(ours)
    assert of_base.adapter is None
    assert (of_adapter.id, of_adapter.source, of_adapter.adapter) == (of_base.id, of_base.source, str(adapter))
    assert (of_adapter.max_tokens, of_adapter.pinned) == (99, False)


def test_what_does_not_go_with_the_base_is_refused(shoal, refused, adapter, tmp_path) -> None:
    assert "No model is called 'mini'" in refused("model", "add", "mini:legal", "--adapter", str(adapter))
    shoal("model", "add", STARTER, "--alias", "mini")
    config = adapter / "adapter_config.json"
    config.write_text(json.dumps({"r": 2, "lora_alpha": 4, "use_dora": True}))
    assert "use_dora" in refused("model", "add", "mini:legal", "--adapter", str(adapter))
    config.write_text(json.dumps({"r": 2, "lora_alpha": 4}))
    save_file(
        {"x.lora_A.weight": torch.ones(2, 3), "x.lora_B.weight": torch.ones(3, 2)},
        adapter / "adapter_model.safetensors",
    )
    assert "changes x, which its base does not have" in refused("model", "add", "mini:legal", "--adapter", str(adapter))
    assert "adapter_config.json" in refused("model", "add", "mini:legal", "--adapter", str(tmp_path))
