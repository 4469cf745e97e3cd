import pytest

from benchmarks import swap
from benchmarks.random_bert import TINY, write_bert
from benchmarks.rounds import interleave
from engine.device import open_device
from engine.settings import EngineSettings


@pytest.fixture
def subject(tmp_path):
    folder = write_bert(tmp_path / "bert", TINY)
    return swap._subject("tiny", folder, open_device(EngineSettings(device="cpu")))


def test_every_number_of_the_tables_is_measured(subject):
    numbers = interleave(swap._steps(subject), 1, rest=0)
    tables = swap._swaps([subject], numbers), swap._loads([subject], numbers)
    assert [len(table.rows) for table in tables] == [1, 2]
    assert all(len(row) == len(table.columns) for table in tables for row in table.rows)
    assert all(spread.low > 0 for found in numbers.values() for spread in found.values())


def test_reading_reads_the_whole_file(subject):
    assert bytes(swap._read(subject.file).numpy()) == subject.file.read_bytes()
    swap._forget(subject.file)
    assert bytes(swap._read(subject.file).numpy()) == subject.file.read_bytes()
