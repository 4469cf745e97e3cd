"""Adapters over the public wire: each is a model of its own to callers, and beside its base on the node."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

BASE = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def adapter(tmp_path):
    """Writes a random adapter on the starter model; its folder."""

    def write(name, seed):
        folder = tmp_path / name
        folder.mkdir()
        generator = torch.Generator().manual_seed(seed)
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8}))
        matrices = {}
        for layer in range(6):
            stem = f"base_model.model.encoder.layer.{layer}.attention.self.value"
            matrices[f"{stem}.lora_A.weight"] = torch.randn(4, 384, generator=generator) * 0.1
            matrices[f"{stem}.lora_B.weight"] = torch.randn(384, 4, generator=generator) * 0.1
        save_file(matrices, folder / "adapter_model.safetensors")
        return folder

    return write


def test_a_base_and_two_adapters_answer_as_three_models(server, adapter):
    for name, seed in (("legal", 1), ("medical", 2)):
        folder = adapter(name, seed)
        server.shoal("model", "add", f"{BASE}:{name}", "--adapter", str(folder), "--alias", name)
    key = server.new_tenant("adapted", "*")
    models = (BASE, f"{BASE}:legal", "medical")
    bodies = [{"model": model, "input": ["a first text", "another"]} for model in models]

    def embed(body):
        reply = server.embed(key, body)
        assert reply.status_code == 200, reply.text
        assert reply.json()["model"] == body["model"]
        return np.array([one["embedding"] for one in reply.json()["data"]])

    first = server.until(lambda: [embed(body) for body in bodies], "three models")
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(first[one] - first[other]).max() > 1e-3
    again = [embed(body) for body in reversed(bodies)]
    assert np.abs(np.array(first) - np.array(again[::-1])).max() < 1e-5
    listed = server.get("/v1/models", key).json()["data"]
    assert {f"{BASE}:legal", f"{BASE}:medical"} <= {model["id"] for model in listed}
