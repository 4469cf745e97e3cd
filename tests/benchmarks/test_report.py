import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.machine import describe
from benchmarks.report import Report, Table, markdown, publish, shown
from benchmarks.rounds import spread


@pytest.fixture
def example() -> Report:
    rates = spread([1000.0, 3000.0, 2000.0])
    table = Table("Speed", ("", "tokens/s"), [["Shoal", shown(rates)]], "Higher is better.")
    return Report(
        name="example",
        title="An example",
        command="python -m benchmarks example",
        machine=describe(),
        tables=[table],
        numbers={"rates": rates},
    )


def test_people_get_the_table_and_the_machine_it_is_from(example):
    page = markdown(example)
    assert "| Shoal | 2,000 (1,000 to 3,000) |" in page
    assert "| --- | ---: |" in page
    assert "Higher is better." in page
    assert "python -m benchmarks example" in page
    assert example.machine.processor in page
    assert f"{example.machine.cores} cores" in page


def test_a_kept_report_holds_every_round(example, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    publish(example, keep=True)
    kept = json.loads((tmp_path / "results" / "example.json").read_text())
    assert kept["numbers"]["rates"]["rounds"] == [1000.0, 3000.0, 2000.0]
    assert kept["machine"]["commit"] == example.machine.commit
    assert (tmp_path / "results" / "example.md").read_text() == markdown(example)


def test_a_dry_run_keeps_nothing(example, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    publish(example, keep=False)
    assert not (tmp_path / "results").exists()
    assert "An example" in capsys.readouterr().out


def test_the_machine_is_named_by_what_decides_its_speed():
    here = describe()
    assert here.cores >= 1
    assert here.memory_gib > 0
    assert here.packages["torch"]
