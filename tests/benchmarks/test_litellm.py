"""How LiteLLM is started and compared; the comparison itself takes an environment that tests do not have."""

import sys
from pathlib import Path

import pytest

from benchmarks.litellm import ALONE, BUSY, SHARED, SHOAL, table, version
from benchmarks.processes import NotMeasurable
from benchmarks.rounds import spread


def measured(rate: float, latency: float) -> dict:
    return {
        "requests per CPU second": spread([rate, rate * 2]),
        "requests/s": spread([rate, rate]),
        "p50 ms": spread([latency, latency]),
        "reply bytes": spread([5611.0, 5611.0]),
    }


def test_the_ratio_is_taken_round_by_round() -> None:
    numbers = {}
    for who, rate in ((SHOAL, 2000.0), (SHARED, 1500.0), ("peer", 100.0)):
        numbers |= {f"{who}, {BUSY}": measured(rate, 16.0), f"{who}, {ALONE}": measured(rate, 0.5)}
    found = table(numbers, {SHOAL: 110.0, SHARED: 111.0, "peer": 350.0}, "peer")
    assert [row[0] for row in found.rows] == [SHOAL, SHARED, "peer"]
    assert [row[2] for row in found.rows] == ["20.0 (20.0 to 20.0)", "15.0 (15.0 to 15.0)", ""]


def test_a_command_that_is_no_litellm_is_said(tmp_path) -> None:
    for program in (tmp_path / "litellm", Path(sys.executable).parent / "litellm"):
        with pytest.raises(NotMeasurable, match="README"):
            version(program)
