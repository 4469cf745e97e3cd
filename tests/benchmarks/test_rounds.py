import pytest

from benchmarks.rounds import interleave, ratio, spread


def test_every_second_round_runs_backwards_so_that_drift_cancels():
    order: list[str] = []

    def step(name: str):
        def run() -> dict[str, float]:
            order.append(name)
            return {"rate": float(len(order))}

        return run

    found = interleave({name: step(name) for name in "abc"}, 2, rest=0)
    assert order == ["a", "b", "c", "c", "b", "a"]
    assert {name: found[name]["rate"].rounds for name in found} == {"a": [1.0, 6.0], "b": [2.0, 5.0], "c": [3.0, 4.0]}


def test_progress_is_said_beside_the_results(capsys):
    interleave({"one": lambda: {"rate": 1.0}}, 1, rest=0)
    said = capsys.readouterr()
    assert said.out == ""
    assert "round 1/1" in said.err
    assert "one" in said.err


def test_a_spread_is_median_and_range():
    found = spread([3.0, 1.0, 2.0])
    assert (found.median, found.low, found.high) == (2.0, 1.0, 3.0)


def test_ratios_are_taken_within_a_round():
    fast, slow = spread([100.0, 10.0, 50.0]), spread([50.0, 5.0, 25.0])
    assert ratio(fast, slow).rounds == pytest.approx([2.0, 2.0, 2.0])
