import pytest

from benchmarks.families import command
from benchmarks.families.cases import CASES
from benchmarks.families.speed import ARRIVAL, PACKED, SORTED
from benchmarks.processes import NotMeasurable
from benchmarks.rounds import spread


def found(**changes):
    shown = {"parity": 1e-6, "invariance": 0.0, "permutation": 0.0, "native": True}
    return command.Found(**{"family": "bert", "variant": "plain", "oracle": "a library", **shown, **changes})


def test_the_tables_have_the_worst_of_every_family_and_a_row_for_every_case():
    speed = {PACKED: spread([300.0]), ARRIVAL: spread([100.0]), SORTED: spread([200.0])}
    cases = [found(), found(variant="long", parity=2e-5), found(family="gte")]
    families, every = command.tables(cases, {"bert": speed})
    assert [row[:3] for row in families.rows] == [("bert", "2", "2.0e-05"), ("gte", "1", "1.0e-06")]
    assert families.rows[0][-2].startswith("3.00 ")
    assert families.rows[0][-1].startswith("1.50 ")
    assert families.rows[1][-3:] == ("-", "-", "-")
    assert len(every.rows) == 3
    assert all(len(row) == len(table.columns) for table in (families, every) for row in table.rows)


@pytest.mark.parametrize(
    "wrong", [{"parity": 2e-4}, {"invariance": 2e-5}, {"permutation": float("inf")}, {"native": False}]
)
def test_a_family_that_is_not_right_is_named(monkeypatch, wrong):
    monkeypatch.setattr(command, "_check", lambda case: found(variant=case.variant, **wrong))
    with pytest.raises(NotMeasurable, match="bert: plain"):
        command.main(["bert", "--rounds", "0", "--dry"])


def test_a_family_that_does_not_exist_is_refused():
    with pytest.raises(SystemExit):
        command.main(["no such family", "--dry"])


def test_one_case_of_a_family_is_tried_for_speed_where_a_library_runs_it():
    wide = [case.family for case in CASES if case.wide is not None]
    assert len(wide) == len(set(wide))
    assert {case.family for case in CASES} - set(wide) <= {"jina_bert"}
