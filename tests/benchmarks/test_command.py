import pytest

from benchmarks.__main__ import main


def test_an_unknown_benchmark_is_said_in_one_sentence(capsys):
    assert main(["speed_of_light"]) == 2
    assert "scheduler, simulation" in capsys.readouterr().err


def test_a_benchmark_says_what_it_takes(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["gateway", "--help"])
    assert ended.value.code == 0
    assert "--rounds" in capsys.readouterr().out
