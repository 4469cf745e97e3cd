import json

import pytest
import torch

from benchmarks import gpu_check
from benchmarks.processes import NotMeasurable
from benchmarks.random_bert import TINY, write_bert
from engine.catalog import describe
from engine.device import open_device
from engine.loading.loaded import load_model
from engine.settings import EngineSettings


def test_a_random_checkpoint_is_one_that_a_node_loads(tmp_path):
    spec = describe(write_bert(tmp_path / "bert", TINY, dtype=torch.bfloat16))
    embedder = load_model(spec, open_device(EngineSettings(device="cpu")), torch.float32)
    assert (spec.dimensions, spec.max_tokens) == (TINY["hidden_size"], TINY["max_position_embeddings"])
    assert 2 * spec.weight_bytes <= embedder.layout.bytes


def test_all_that_needs_no_gpu_holds_on_the_cpu(tmp_path):
    device = open_device(EngineSettings(device="cpu", max_batch_tokens=2048))
    checks, numbers = gpu_check.run_checks(write_bert(tmp_path / "bert", TINY), device, 0.01)
    assert [check.name for check in checks if not check.holds] == []
    assert {"memory", "swap", "parity", "tokens per second", "ladder"} <= numbers.keys()
    assert numbers["ladder"]["steps"]["halve"]
    json.dumps(numbers)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_keeps_nothing(monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "run_checks", lambda *_: ([], {"activations": []}))
    with pytest.raises(NotMeasurable, match="no CUDA device"):
        gpu_check.main(["--name", "never-kept"])
    assert "Kept as" not in capsys.readouterr().out
